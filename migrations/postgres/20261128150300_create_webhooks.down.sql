DROP INDEX versions_by_time;
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
