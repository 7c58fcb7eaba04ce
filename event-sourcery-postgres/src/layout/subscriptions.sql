CREATE TABLE {subscriptions} (
    tenant_id VARCHAR(255) NOT NULL,
    name VARCHAR(255) NOT NULL,
    kept TEXT NOT NULL,
    PRIMARY KEY (tenant_id, name)
);
