CREATE INDEX ix_{prefix}events_unversioned
ON {events} (db_stream_id, id) WHERE version IS NULL;
