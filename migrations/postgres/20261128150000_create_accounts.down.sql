DROP INDEX tokens_by_account;
ALTER TABLE tokens DROP COLUMN last_used_at;
ALTER TABLE tokens DROP COLUMN account;
DROP TABLE invites;
DROP TABLE namespace_members;
DROP TABLE sessions;
DROP TABLE account_identities;
DROP TABLE name_skeletons;
DROP TABLE accounts;
