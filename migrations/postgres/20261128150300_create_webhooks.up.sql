CREATE TABLE webhooks (
    id TEXT NOT NULL PRIMARY KEY,
    namespace TEXT NOT NULL REFERENCES namespaces (name),
    url TEXT NOT NULL,
    -- The key of the signatures. It must be readable here: the registry signs with it.
    secret BYTEA NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    disabled_at BIGINT
);
CREATE INDEX webhooks_by_namespace ON webhooks (namespace);

CREATE TABLE webhook_deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    webhook TEXT NOT NULL REFERENCES webhooks (id),
    event TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    -- When it is tried next; NULL when it is over.
    due_at BIGINT,
    -- pending, delivered or failed.
    state TEXT NOT NULL,
    status BIGINT,
    problem TEXT
);
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook, created_at);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due_at) WHERE due_at IS NOT NULL;

-- Feeds of everybody's newest versions.
CREATE INDEX versions_by_time ON versions (published_at DESC, id DESC);
