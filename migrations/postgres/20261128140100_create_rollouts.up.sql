-- Revisions that came before the newest of a policy: nodes that a rollout did not reach still have one of them.
CREATE TABLE policy_revisions (
    policy TEXT COLLATE "C" NOT NULL REFERENCES policies (name),
    revision BIGINT NOT NULL,
    envelope BYTEA NOT NULL,
    payload BYTEA NOT NULL,
    applied_at BIGINT NOT NULL,
    applied_by TEXT NOT NULL,
    PRIMARY KEY (policy, revision)
);

-- How each rollout began and stands, as JSON. What lies between is in its events.
CREATE TABLE rollouts (
    policy TEXT COLLATE "C" NOT NULL REFERENCES policies (name),
    revision BIGINT NOT NULL,
    first TEXT NOT NULL,
    state TEXT NOT NULL,
    events BIGINT NOT NULL,
    PRIMARY KEY (policy, revision)
);

-- Only ever grows: the same events give the same state.
CREATE TABLE rollout_events (
    policy TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    number BIGINT NOT NULL,
    happened_at BIGINT NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (policy, revision, number),
    FOREIGN KEY (policy, revision) REFERENCES rollouts (policy, revision)
);

-- What was rolled back because it did harm, by what it runs.
CREATE TABLE known_bad (
    content BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(content) = 32),
    policy TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    why TEXT NOT NULL,
    found_at BIGINT NOT NULL
);

CREATE TABLE freezes (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    document TEXT NOT NULL,
    set_at BIGINT NOT NULL,
    set_by TEXT NOT NULL
);

-- Which server drives rollouts, until when. Two that believe so do no harm: each change counts the fleet's clock.
CREATE TABLE rollout_driver (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    holder TEXT NOT NULL,
    held_until BIGINT NOT NULL
);
INSERT INTO rollout_driver (id, holder, held_until) VALUES (1, '', 0);
