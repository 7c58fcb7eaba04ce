CREATE TABLE {blocked_streams} (
    stream_uuid CHAR(32) NOT NULL,
    category VARCHAR(255) NOT NULL,
    tenant_id VARCHAR(255) NOT NULL,
    subscription_tenant_id VARCHAR(255) NOT NULL,
    subscription_name VARCHAR(255) NOT NULL,
    stream_name VARCHAR(255),
    segment INTEGER NOT NULL,
    after_position INTEGER NOT NULL,
    position INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT NOT NULL,
    retry_at DATETIME,
    since DATETIME NOT NULL,
    PRIMARY KEY (stream_uuid, category, tenant_id, subscription_tenant_id, subscription_name)
) WITHOUT ROWID;

CREATE INDEX ix_{blocked_streams}_position
ON {blocked_streams} (subscription_tenant_id, subscription_name, position);

CREATE INDEX ix_{blocked_streams}_retry_at
ON {blocked_streams} (subscription_tenant_id, subscription_name, retry_at) WHERE retry_at IS NOT NULL;
