CREATE TABLE {blocked_entries} (
    stream_uuid UUID NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (stream_uuid, position)
);

INSERT INTO {blocked_entries} (stream_uuid, position)
SELECT DISTINCT b.stream_uuid, o.position
FROM {outbox_entries} o JOIN {blocked_streams} b ON b.stream_uuid::text = o.data ->> 'stream_id'
WHERE b.subscription_name = '' AND o.position IS NOT NULL AND o.published_at IS NULL;
