CREATE TABLE {subscription_segments} (
    tenant_id VARCHAR(255) NOT NULL,
    name VARCHAR(255) NOT NULL,
    segment INTEGER NOT NULL,
    position INTEGER NOT NULL,
    token INTEGER NOT NULL,
    member CHAR(32),
    leased_until DATETIME NOT NULL,
    PRIMARY KEY (tenant_id, name, segment)
) WITHOUT ROWID;
