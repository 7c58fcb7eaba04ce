CREATE INDEX {ix_*streams_by_name}
ON {streams} (tenant_id, category, name COLLATE "C");
