//! From message-db, which is at work meanwhile: it is functions within the database.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event_sourcery_import::{Mapping, PostgresSource};
use postgres_cluster::{Database, Server};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::task::JoinSet;

use crate::programs::brought;
use crate::scene::{is_followed, memory};

/// What its own script runs, but for roles, views, and what only reads.
const SCRIPTS: [&str; 10] = [
    "schema/message-store",
    "tables/messages",
    "functions/hash-64",
    "functions/category",
    "functions/acquire-lock",
    "functions/stream-version",
    "functions/write-message",
    "indexes/messages-id",
    "indexes/messages-category",
    "indexes/messages-stream",
];

fn install(database: &Database) {
    let folder = brought("imports-postgresql/node_modules/@eventide/message-db/database");
    for script in SCRIPTS {
        database.psql(&fs::read_to_string(folder.join(script).with_extension("sql")).unwrap());
    }
}

/// Transactions of a few messages, in a category of its own: within one, message-db lets one transaction write at a time.
async fn write(url: String, category: usize, is_over: Arc<AtomicBool>) {
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute("SET search_path = message_store, public").await.unwrap();
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        number += 1;
        let stream = format!("account{category}-{}", number % 7);
        let message = format!(
            "SELECT write_message(gen_random_uuid()::text, '{stream}', 'Paid', '{{\"amount\": {number}}}');"
        );
        let transaction = format!("BEGIN; {} COMMIT", message.repeat(1 + number % 3));
        connection.execute(sqlx::raw_sql(AssertSqlSafe(transaction))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_followed_while_message_db_writes() {
    let database = Server::shared().create_database();
    install(&database);
    let url = database.url();
    let is_over = Arc::new(AtomicBool::new(false));
    let mut writers: JoinSet<()> =
        (0..4).map(|category| write(url.clone(), category, Arc::clone(&is_over))).collect();
    let source = async || PostgresSource::message_db(&url).await.unwrap();
    is_followed(&source, &memory(), &Mapping::new("accounts"), async || {
        is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = writers.join_next().await {
            ended.unwrap();
        }
    })
    .await;
}
