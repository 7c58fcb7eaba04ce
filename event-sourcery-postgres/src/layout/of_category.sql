CREATE INDEX {ix_*streams_of_category}
ON {streams} (category, tenant_id);
