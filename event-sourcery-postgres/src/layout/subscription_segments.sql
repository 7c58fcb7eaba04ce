CREATE TABLE {subscription_segments} (
    tenant_id VARCHAR(255) NOT NULL,
    name VARCHAR(255) NOT NULL,
    segment INTEGER NOT NULL,
    position BIGINT NOT NULL,
    token BIGINT NOT NULL,
    member UUID,
    leased_until TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, name, segment)
) WITH (fillfactor = 50);
