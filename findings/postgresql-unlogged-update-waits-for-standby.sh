#!/usr/bin/env bash
# PostgreSQL 15: the commit of a transaction that only updates an unlogged table waits for a synchronous standby, now and then. The table
# is not logged; but planning the statement may tidy up a page of the catalogue, which is, and a commit behind anything logged waits.
# So who must not wait turns `synchronous_commit` off for such a statement, too.
#
# Seen: waited, of 40: behind an ANALYZE 39; with synchronous_commit off 0; without an ANALYZE 0
#
# As root on Debian 12. Installs the server if it is missing; everything else is in a temporary folder.
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
ask() { "$bin/psql" -XqAt -v ON_ERROR_STOP=1 "postgres://postgres@127.0.0.1:$server/postgres" "$@"; }

ask -c "CREATE UNLOGGED TABLE notes (only_row boolean PRIMARY KEY DEFAULT true, ceiling bigint, holders text[])" \
    -c "INSERT INTO notes VALUES (true, 0, '{}')" -c "ALTER SYSTEM SET synchronous_standby_names = 'nobody'" -c "SELECT pg_reload_conf()" >/dev/null
sleep 1

# How many of 40 updates wait for the standby that is not there.
waiting() {
    local waited=0
    for number in $(seq 40); do
        ask -c "SET synchronous_commit = off" -c "$2"
        timeout 0.5 "$bin/psql" -XqAt "postgres://postgres@127.0.0.1:$server/postgres" \
            -c "$1 UPDATE notes SET ceiling = $number, holders = ARRAY['3/$number'] WHERE only_row" >/dev/null 2>&1 || {
            waited=$((waited + 1))
            ask -c "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'" >/dev/null
        }
    done
    echo "$waited"
}

behind_analyze=$(waiting "" "ANALYZE notes")
switched_off=$(waiting "SET synchronous_commit = off;" "ANALYZE notes")
alone=$(waiting "" "SELECT")
echo "waited, of 40: behind an ANALYZE $behind_analyze; with synchronous_commit off $switched_off; without an ANALYZE $alone"
[ "$behind_analyze" -gt "$alone" ] && [ "$switched_off" = 0 ]
