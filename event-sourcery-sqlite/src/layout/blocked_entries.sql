CREATE TABLE {blocked_entries} (
    stream_uuid CHAR(32) NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (stream_uuid, position)
) WITHOUT ROWID;

INSERT OR IGNORE INTO {blocked_entries} (stream_uuid, position)
SELECT o.stream_uuid, o.position FROM {outbox_entries} o
WHERE o.position IS NOT NULL AND o.published_at IS NULL
  AND o.stream_uuid IN (SELECT b.stream_uuid FROM {blocked_streams} b WHERE b.subscription_name = '');
