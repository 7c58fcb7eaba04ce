CREATE TABLE {subject_keys} (
    tenant_id VARCHAR(255) NOT NULL,
    subject VARCHAR(255) NOT NULL,
    key_id CHAR(32) NOT NULL,
    wrapped_by VARCHAR(255),
    bytes INTEGER,
    created_at DATETIME NOT NULL,
    shredded_at DATETIME,
    PRIMARY KEY (tenant_id, subject)
) WITHOUT ROWID;

CREATE INDEX ix_{subject_keys}_traces
ON {subject_keys} (bytes) WHERE shredded_at IS NOT NULL AND bytes IS NOT NULL;
