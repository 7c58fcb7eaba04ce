CREATE TABLE {tags} (
    id BIGINT GENERATED ALWAYS AS IDENTITY (CACHE 64) PRIMARY KEY,
    version BIGINT NOT NULL,
    exact_from BIGINT NOT NULL DEFAULT 0,
    tenant_id VARCHAR(255) NOT NULL,
    value VARCHAR(255) COLLATE "C" NOT NULL,
    UNIQUE (value, tenant_id)
) WITH (fillfactor = 70);
