CREATE TABLE webhooks (
    id TEXT NOT NULL PRIMARY KEY,
    namespace TEXT NOT NULL REFERENCES namespaces (name),
    url TEXT NOT NULL,
    -- The key of the signatures. It must be readable here: the registry signs with it.
    secret BLOB NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    disabled_at INTEGER
) WITHOUT ROWID;
CREATE INDEX webhooks_by_namespace ON webhooks (namespace);

CREATE TABLE webhook_deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    webhook TEXT NOT NULL REFERENCES webhooks (id),
    event TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    -- When it is tried next; NULL when it is over.
    due_at INTEGER,
    -- pending, delivered or failed.
    state TEXT NOT NULL,
    status INTEGER,
    problem TEXT
) WITHOUT ROWID;
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook, created_at);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due_at) WHERE due_at IS NOT NULL;

-- Feeds of everybody's newest versions.
CREATE INDEX versions_by_time ON versions (published_at DESC, id DESC);
