#!/usr/bin/env bash
# message-db 1.3.1 (npm @eventide/message-db) on PostgreSQL 15. A message that is written again under its id is refused with 23505, though
# it is the same one repeated: who has lost the answer has to ask for the message first. And a stream whose name has no dash is taken by
# `write_message`, while `get_stream_messages` refuses the name, as that of a category: what was written there is read from the table alone.
#
# Seen: written at position 0
#       the same again: 23505
#       without a dash: written at position 0, read: P0001
#
# As root on Debian 12, with npm. Installs the server if it is missing; everything else is in a temporary folder.
set -euo pipefail

[ -x /usr/lib/postgresql/15/bin/postgres ] ||
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql-15 >/dev/null

folder=$(mktemp -d)
bin=/usr/lib/postgresql/15/bin
server=$((20000 + RANDOM % 12000))
chmod 755 "$folder"
mkdir "$folder/server"
chown postgres "$folder/server"
as_postgres() { (cd "$folder/server" && exec setpriv --reuid=postgres --regid="$(id -g postgres)" --clear-groups -- "$@"); }
stop() {
    as_postgres "$bin/pg_ctl" stop --silent -m immediate -D "$folder/server/data" || :
    rm -rf "$folder"
}
trap stop EXIT

as_postgres "$bin/initdb" --no-sync -D "$folder/server/data" -U postgres -A trust >/dev/null
as_postgres "$bin/pg_ctl" start --silent -w -D "$folder/server/data" -l "$folder/server/log" \
    -o "-p $server -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder/server"

npm install --silent --no-audit --no-fund --prefix "$folder" @eventide/message-db@1.3.1 >/dev/null
export PGHOST=127.0.0.1 PGPORT=$server PGUSER=postgres DATABASE_NAME=message_store PATH="$bin:$PATH"
bash "$folder/node_modules/@eventide/message-db/database/install.sh" >/dev/null

# What a statement answers, or the code of its error.
ask() {
    psql -XqAt -v VERBOSITY=sqlstate message_store \
        -c "SET search_path TO message_store, public" -c "$1" 2>&1 | sed -n 's/^ERROR: *//; $p'
}

message="'6c2b6f0e-9a45-4f0e-8a49-1c4a3f3f5b11', 'account-1', 'Opened', '{}'"
other="'6c2b6f0e-9a45-4f0e-8a49-1c4a3f3f5b12', 'account', 'Opened', '{}'"
said=$(
    echo "written at position $(ask "SELECT write_message($message)")"
    echo "the same again: $(ask "SELECT write_message($message)")"
    echo "without a dash: written at position $(ask "SELECT write_message($other)"), read: $(ask "SELECT * FROM get_stream_messages('account')")"
)
echo "$said"
[ "$said" = 'written at position 0
the same again: 23505
without a dash: written at position 0, read: P0001' ]
