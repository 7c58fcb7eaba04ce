CREATE INDEX {ix_*outbox_entries_position}
ON {outbox_entries} (position);
