//! Contract 9.1 where only PostgreSQL can break it: statements of listeners that fail, wait, or end the transaction.

mod alone;
mod joined;
mod waiting;

use event_sourcery::{Error, Listening, RawEvent};
use event_sourcery_postgres::sqlx;

use crate::scene::{Scene, Store};

/// What is listened to.
fn heard() -> RawEvent {
    RawEvent::new("Heard", "{}").unwrap()
}

/// Runs a statement for each event that is listened to, and passes its error on.
fn listen(store: &Store, sql: &'static str) -> Listening {
    let listen = store.listen::<RawEvent>().event_names(["Heard"]);
    let listening = listen.within(move |_, tx| {
        Box::pin(async move {
            sqlx::raw_sql(sql).execute(tx.connection()).await?;
            Ok(())
        })
    });
    listening.unwrap()
}

/// The same, and keeps its error to itself.
fn listen_in_silence(store: &Store, sql: &'static str) -> Listening {
    let listen = store.listen::<RawEvent>().event_names(["Heard"]);
    let listening = listen.within(move |_, tx| {
        Box::pin(async move {
            let _ = sqlx::raw_sql(sql).execute(tx.connection()).await;
            Ok(())
        })
    });
    listening.unwrap()
}

/// What the statement of a listener has failed with.
fn statement_failed(refused: &Error) -> &sqlx::Error {
    match refused {
        Error::ListenerFailed { source, .. } => {
            source.downcast_ref().expect("the error as the listener passed it on")
        }
        other => panic!("no listener has failed: {other:?}"),
    }
}

/// How many invoices and events there are.
async fn invoices_and_events(scene: &Scene) -> (i64, i64) {
    (scene.number("SELECT count(*) FROM invoices").await, scene.events().await)
}

const OPEN: &str = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
