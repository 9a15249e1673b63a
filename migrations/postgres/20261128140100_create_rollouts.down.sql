DROP TABLE rollout_driver;
DROP TABLE freezes;
DROP TABLE known_bad;
DROP TABLE rollout_events;
DROP TABLE rollouts;
DROP TABLE policy_revisions;
