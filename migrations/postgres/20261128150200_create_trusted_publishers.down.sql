DROP TABLE exchanged_tokens;
DROP TABLE trusted_publishers;
DROP TABLE oidc_logins;
