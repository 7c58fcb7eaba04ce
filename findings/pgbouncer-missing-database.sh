#!/usr/bin/env bash
# PgBouncer 1.18.0 (Debian 12) in front of PostgreSQL 15: who asks for a database that does not exist gets SQLSTATE 08P01
# (protocol_violation), where the server itself says 3D000 (invalid_catalog_name). Drivers take class 08 for a broken connection,
# which is worth another try: a wrong name is tried for ever. Only the message tells.
#
# Seen: server:    3D000 database "nowhere" does not exist
#       PgBouncer: 08P01 database "nowhere" does not exist
#
# As root on Debian 12. Installs the two packages if they are missing; everything else is in a temporary folder.
set -euo pipefail

[ -x /usr/sbin/pgbouncer ] && [ -x /usr/lib/postgresql/15/bin/postgres ] ||
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql-15 pgbouncer >/dev/null
version=$(/usr/sbin/pgbouncer --version | head -1)
[ "$version" = "PgBouncer 1.18.0" ] || { echo "another version: $version" >&2; exit 1; }

folder=$(mktemp -d)
bin=/usr/lib/postgresql/15/bin
server=$((20000 + RANDOM % 6000)) pooler=$((26000 + RANDOM % 6000))
chmod 755 "$folder"
chown postgres "$folder"
as_postgres() { (cd "$folder" && exec setpriv --reuid=postgres --regid="$(id -g postgres)" --clear-groups -- "$@"); }
stop() {
    [ ! -e "$folder/pid" ] || kill "$(cat "$folder/pid")" || :
    as_postgres "$bin/pg_ctl" stop --silent -m immediate -D "$folder/data" || :
    rm -rf "$folder"
}
trap stop EXIT

as_postgres "$bin/initdb" --no-sync -D "$folder/data" -U postgres -A trust >/dev/null
as_postgres "$bin/pg_ctl" start --silent -w -D "$folder/data" -l "$folder/log" \
    -o "-p $server -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder"
cat >"$folder/pgbouncer.ini" <<INI
[databases]
* = host=127.0.0.1 port=$server
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $pooler
unix_socket_dir =
auth_type = trust
auth_file = $folder/users
pidfile = $folder/pid
logfile = $folder/pgbouncer.log
INI
echo '"postgres" ""' >"$folder/users"
chown postgres "$folder/pgbouncer.ini" "$folder/users"
as_postgres /usr/sbin/pgbouncer -d "$folder/pgbouncer.ini" >/dev/null 2>&1

# The start of the protocol by hand, so that no driver is in between: the code and the message of the error.
ask() {
    python3 - "$1" <<'PY'
import socket, struct, sys, time
text = b"user\0postgres\0database\0nowhere\0\0"
for _ in range(60):  # PgBouncer answers nothing while it tries by itself
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as peer:
            peer.settimeout(20)
            peer.sendall(struct.pack("!ii", 8 + len(text), 196608) + text)
            said = b""
            while b"C0" not in said and b"C3" not in said:
                more = peer.recv(4096)
                if not more:
                    break
                said += more
            fields = {part[:1]: part[1:] for part in said[said.index(b"E") + 5:].split(b"\0") if part}
            print(fields[b"C"].decode(), fields[b"M"].decode())
            break
    except (OSError, KeyError, ValueError):
        time.sleep(0.5)
PY
}

said=$(printf 'server:    %s\nPgBouncer: %s' "$(ask "$server")" "$(ask "$pooler")")
echo "$said"
[ "$said" = 'server:    3D000 database "nowhere" does not exist
PgBouncer: 08P01 database "nowhere" does not exist' ]
