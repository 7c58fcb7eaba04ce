CREATE INDEX {ix_*outbox_entries_kept}
ON {outbox_entries} (published_at) WHERE published_at IS NOT NULL;
