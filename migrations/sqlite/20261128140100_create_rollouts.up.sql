-- Revisions that came before the newest of a policy: nodes that a rollout did not reach still have one of them.
CREATE TABLE policy_revisions (
    policy TEXT NOT NULL REFERENCES policies (name),
    revision INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    payload BLOB NOT NULL,
    applied_at INTEGER NOT NULL,
    applied_by TEXT NOT NULL,
    PRIMARY KEY (policy, revision)
) WITHOUT ROWID;

-- How each rollout began and stands, as JSON. What lies between is in its events.
CREATE TABLE rollouts (
    policy TEXT NOT NULL REFERENCES policies (name),
    revision INTEGER NOT NULL,
    first TEXT NOT NULL,
    state TEXT NOT NULL,
    events INTEGER NOT NULL,
    PRIMARY KEY (policy, revision)
) WITHOUT ROWID;

-- Only ever grows: the same events give the same state.
CREATE TABLE rollout_events (
    policy TEXT NOT NULL,
    revision INTEGER NOT NULL,
    number INTEGER NOT NULL,
    happened_at INTEGER NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (policy, revision, number),
    FOREIGN KEY (policy, revision) REFERENCES rollouts (policy, revision)
) WITHOUT ROWID;

-- What was rolled back because it did harm, by what it runs.
CREATE TABLE known_bad (
    content BLOB NOT NULL PRIMARY KEY CHECK (length(content) = 32),
    policy TEXT NOT NULL,
    revision INTEGER NOT NULL,
    why TEXT NOT NULL,
    found_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE freezes (
    name TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL,
    set_at INTEGER NOT NULL,
    set_by TEXT NOT NULL
) WITHOUT ROWID;

-- Which server drives rollouts, until when. Two that believe so do no harm: each change counts the fleet's clock.
CREATE TABLE rollout_driver (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    holder TEXT NOT NULL,
    held_until INTEGER NOT NULL
);
INSERT INTO rollout_driver (id, holder, held_until) VALUES (1, '', 0);
