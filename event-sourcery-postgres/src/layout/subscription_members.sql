CREATE TABLE {subscription_members} (
    tenant_id VARCHAR(255) NOT NULL,
    name VARCHAR(255) NOT NULL,
    member UUID NOT NULL,
    member_until TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    lasting_ms BIGINT NOT NULL DEFAULT 0,
    presence BIGINT,
    PRIMARY KEY (tenant_id, name, member)
) WITH (fillfactor = 50);
