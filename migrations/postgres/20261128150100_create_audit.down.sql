DROP TABLE quotas;
DROP TABLE audit;
