#!/usr/bin/env bash
# sqlx 0.9.0 on PostgreSQL 15: a query that is not persistent, and has a column or a value of a type that the driver does not know,
# fails: `unnamed prepared statement does not exist`. The driver prepares it without a name, asks the server for the type by a
# statement of its own, and that one takes its place. Such a type is `pg_lsn`, the answer of many functions about the log. Who asks
# the driver not to keep statements, as behind a pooler in transaction mode, puts the answer into a type that it knows.
#
# Seen: persistent true: SELECT pg_current_wal_lsn(): Ok
#       persistent false: SELECT pg_current_wal_lsn(): unnamed prepared statement does not exist
#       persistent false: SELECT pg_current_wal_lsn()::text: Ok
#
# As root on Debian 12, with cargo. Installs the server if it is missing; everything else is in a temporary folder.
set -euo pipefail

[ -x /usr/lib/postgresql/15/bin/postgres ] ||
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql-15 >/dev/null

folder=$(mktemp -d)
bin=/usr/lib/postgresql/15/bin
server=$((20000 + RANDOM % 12000))
chmod 755 "$folder"
mkdir "$folder/server" "$folder/src"
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
url=postgres://postgres@127.0.0.1:$server/postgres

cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "unnamed"
version = "0.0.0"
edition = "2024"

[dependencies]
sqlx = { version = "=0.9.0", default-features = false, features = ["postgres", "runtime-tokio"] }
tokio = { version = "1", features = ["macros", "rt"] }
TOML
cat >"$folder/src/main.rs" <<'RUST'
use sqlx::{Connection as _, PgConnection};

async fn ask(url: &str, query: &'static str, persistent: bool) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let asked = sqlx::query(query).persistent(persistent).fetch_one(&mut connection).await;
    asked.map_or_else(|error| error.as_database_error().unwrap().message().to_owned(), |_| "Ok".to_owned())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).unwrap();
    for (query, persistent) in [
        ("SELECT pg_current_wal_lsn()", true),
        ("SELECT pg_current_wal_lsn()", false),
        ("SELECT pg_current_wal_lsn()::text", false),
    ] {
        println!("persistent {persistent}: {query}: {}", ask(&url, query, persistent).await);
    }
}
RUST
cargo build --quiet --manifest-path "$folder/Cargo.toml" --target-dir "$folder/target"

said=$("$folder/target/debug/unnamed" "$url")
echo "$said"
[ "$said" = 'persistent true: SELECT pg_current_wal_lsn(): Ok
persistent false: SELECT pg_current_wal_lsn(): unnamed prepared statement does not exist
persistent false: SELECT pg_current_wal_lsn()::text: Ok' ]
