CREATE INDEX {ix_*outbox_entries_stream}
ON {outbox_entries} ((data ->> 'stream_id'), position);
