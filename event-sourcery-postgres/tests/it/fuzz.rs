//! Tables that others have written into: whatever stands in a row, reading it is an answer or an error, within a bounded time.

use std::time::Duration;

use event_sourcery::EventStore;
use event_sourcery_conformance::fuzz::{Random, fill, rounds, use_all};
use event_sourcery_postgres::PostgresOptions;
use event_sourcery_postgres::sqlx::{self, AssertSqlSafe, PgPool};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::scene::Scene;

/// Whatever a call does, it does not take longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A value as a text that the type of a column may take.
fn value(random: &mut Random, of: &str) -> Option<String> {
    const TIMES: [&str; 6] = [
        "infinity",
        "-infinity",
        "4713-01-01 00:00:00 BC",
        "294276-12-31 23:59:59.999999",
        "0001-01-01",
        "9999-12-31 23:59:59.999999",
    ];
    if random.once_in(8) {
        return None;
    }
    Some(match of {
        "bigint" | "integer" | "smallint" => random.integer().to_string(),
        "uuid" => random.uuid().to_string(),
        "boolean" => random.once_in(2).to_string(),
        "jsonb" => random.json(4),
        "timestamp without time zone" => random.one_of(&TIMES).to_owned(),
        _ => random.text(),
    })
}

/// The tables of a schema with their columns and types.
async fn columns(pool: &PgPool, schema: &str) -> Vec<(String, String, String)> {
    let sql = "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns
               WHERE table_schema = $1 AND data_type <> 'ARRAY' AND table_name <> 'event_sourcery_layout'";
    sqlx::query_as(sql).bind(schema).fetch_all(pool).await.unwrap()
}

/// Writes a value into a row, or all rows, unless the table forbids it.
async fn damage(pool: &PgPool, schema: &str, columns: &[(String, String, String)], random: &mut Random) {
    let (table, column, kind) = &columns[random.below(columns.len())];
    let table = format!("{schema}.{table}");
    let rows = if random.once_in(2) { "" } else { "WHERE ctid = (SELECT max(ctid) FROM {table})" };
    let rows = rows.replace("{table}", &table);
    let sql = format!("UPDATE {table} SET {column} = $1::text::{kind} {rows}");
    let _ = sqlx::query(AssertSqlSafe(sql)).bind(value(random, kind)).execute(pool).await;
}

#[test]
fn tables_that_others_have_written_into() {
    let runtime = Runtime::new().unwrap();
    let scene = runtime.block_on(Scene::new());
    let mut number = 0;
    rounds(|random| {
        number += 1;
        let schema = format!("fuzz_{number}");
        runtime.block_on(async {
            let open = || PostgresOptions::new(scene.database.url()).schema(&schema).open();
            let store = EventStore::new(open().await.unwrap());
            fill(&store.erased()).await;
            let columns = columns(&scene.pool, &schema).await;
            for _ in 0..=random.below(3) {
                damage(&scene.pool, &schema, &columns, random).await;
            }
            timeout(PATIENCE, use_all(&store.erased())).await.expect("each call ends");
            drop(store);
            // Opened anew, what was given before is looked at.
            if let Ok(backend) = open().await {
                let store = EventStore::new(backend).erased();
                timeout(PATIENCE, use_all(&store)).await.expect("each call ends");
            }
            scene.run(&format!("DROP SCHEMA {schema} CASCADE")).await;
        });
    });
}
