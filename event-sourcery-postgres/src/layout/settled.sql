CREATE TABLE {settled} (
    only_row BOOLEAN NOT NULL PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    position BIGINT NOT NULL
);

LOCK TABLE {events} IN SHARE ROW EXCLUSIVE MODE;

INSERT INTO {settled} (position) SELECT coalesce(max(id), 0) FROM {events};
