DROP TABLE revocations;
DROP TABLE approvals;
DROP TABLE policy_sets;
