CREATE TABLE {subject_keys} (
    tenant_id VARCHAR(255) COLLATE "C" NOT NULL,
    subject VARCHAR(255) COLLATE "C" NOT NULL,
    key_id UUID NOT NULL,
    wrapped_by VARCHAR(255),
    wrapped BYTEA,
    created_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    shredded_at TIMESTAMP WITHOUT TIME ZONE,
    PRIMARY KEY (tenant_id, subject)
);
