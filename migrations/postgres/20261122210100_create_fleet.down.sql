DROP TABLE node_policies;
DROP TABLE policies;
DROP TABLE nodes;
DROP TABLE node_tokens;
