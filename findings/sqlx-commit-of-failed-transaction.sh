#!/usr/bin/env bash
# sqlx 0.9.0 on PostgreSQL 15: `Transaction::commit` answers Ok where nothing was committed. A statement of the transaction had
# failed, and its error was not passed on. PostgreSQL then answers COMMIT with the command tag ROLLBACK, and no error; sqlx does not
# look at the tag. Whoever takes Ok for an acknowledgement has lost what he wrote before the failure.
#
# Seen: server: COMMIT is answered with ROLLBACK
#       sqlx:   insert Ok, division failed, commit Ok(()), 0 rows
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
name = "commit"
version = "0.0.0"
edition = "2024"

[dependencies]
sqlx = { version = "=0.9.0", default-features = false, features = ["postgres", "runtime-tokio"] }
tokio = { version = "1", features = ["macros", "rt"] }
TOML
cat >"$folder/src/main.rs" <<'RUST'
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), sqlx::Error> {
    let pool = sqlx::PgPool::connect(&std::env::args().nth(1).unwrap()).await?;
    sqlx::query("CREATE TABLE notes (note text)").execute(&pool).await?;
    let mut tx = pool.begin().await?;
    let insert = sqlx::query("INSERT INTO notes VALUES ('kept?')").execute(&mut *tx).await;
    let division = sqlx::query("SELECT 1 / 0").execute(&mut *tx).await;
    let commit = tx.commit().await;
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&pool).await?;
    let told = |well| if well { "Ok" } else { "failed" };
    println!(
        "insert {}, division {}, commit {commit:?}, {rows} rows",
        told(insert.is_ok()),
        told(division.is_ok())
    );
    Ok(())
}
RUST
cargo build --quiet --manifest-path "$folder/Cargo.toml" --target-dir "$folder/target"

tag=$(psql -X -At "$url" 2>/dev/null <<'SQL' | tail -1
BEGIN;
SELECT 1 / 0;
COMMIT;
SQL
)
said=$(printf 'server: COMMIT is answered with %s\nsqlx:   %s' "$tag" "$("$folder/target/debug/commit" "$url")")
echo "$said"
[ "$said" = 'server: COMMIT is answered with ROLLBACK
sqlx:   insert Ok, division failed, commit Ok(()), 0 rows' ]
