CREATE INDEX {ix_*events_unversioned}
ON {events} (db_stream_id, id) WHERE version IS NULL;
