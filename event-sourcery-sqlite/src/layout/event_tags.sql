CREATE TABLE {event_tags} (
    tag_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name VARCHAR(200) NOT NULL,
    PRIMARY KEY (tag_id, position)
) WITHOUT ROWID;

CREATE INDEX ix_{event_tags}_position
ON {event_tags} (position);
