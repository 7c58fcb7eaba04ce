CREATE TABLE {settled} (
    only_row BOOLEAN NOT NULL PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    position BIGINT NOT NULL
);

LOCK TABLE {events} IN SHARE ROW EXCLUSIVE MODE;

-- Without the lock, as outside of a transaction, it begins at 0: somebody may still commit what is below the last id.
INSERT INTO {settled} (position)
SELECT coalesce(max(id), 0) FROM {events}
WHERE EXISTS (
    SELECT FROM pg_locks
    WHERE pid = pg_backend_pid() AND granted AND relation = {events as text}::regclass AND mode = 'ShareRowExclusiveLock'
);
