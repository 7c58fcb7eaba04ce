//! A small invoicing service: every change is a row and an event, committed together or not at all.
//!
//! ```sh
//! docker compose up --wait
//! export DATABASE_URL=postgres://postgres:postgres@localhost:5432/invoicing
//! cargo run -p event-sourcery-postgres --example invoicing
//!
//! json='Content-Type: application/json'
//! curl -i localhost:3000/invoices -H "$json" -d '{"number": "1003", "customer": "ACME", "total_cents": 5000}'
//! curl -i localhost:3000/invoices/1003/payments -H "$json" -H 'If-Match: "1"' -d '{"amount_cents": 2000}'
//! curl -i localhost:3000/invoices/1003
//! curl -i localhost:3000/invoices/1003/events
//! ```
//!
//! It listens on 127.0.0.1:3000, or on `LISTEN` (an address with a port), or on `PORT` of 127.0.0.1.

mod error;
mod events;
mod handlers;
mod invoice;
mod version;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use event_sourcery::{Error, EventStore};
use event_sourcery_postgres::{PostgresBackend, PostgresOptions};
use sqlx::postgres::PgPool;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const NO_DATABASE_URL: &str = "DATABASE_URL is not set. It is the address of a PostgreSQL database, such as \
    postgres://postgres:postgres@localhost:5432/invoicing, which `docker compose up --wait` starts";

/// What every handler gets.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) pool: PgPool,
    pub(crate) store: EventStore<PostgresBackend>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let store_error = error.downcast_ref().map(Error::in_full);
            eprintln!("invoicing: {}", store_error.unwrap_or_else(|| error.to_string()));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let url = env::var("DATABASE_URL").map_err(|_| NO_DATABASE_URL)?;
    let options = PostgresOptions::pool_options().max_connections(10).acquire_timeout(Duration::from_secs(3));
    let pool =
        options.connect(&url).await.map_err(|error| format!("no connection to the database: {error}"))?;
    let store = EventStore::new(PostgresBackend::from_pool(pool.clone()).await?);
    sqlx::raw_sql(invoice::TABLE).execute(&pool).await?;

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let listener = TcpListener::bind(address()).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, router(App { pool: pool.clone(), store }))
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
        .await?;
    pool.close().await;
    Ok(())
}

fn router(app: App) -> Router {
    Router::new()
        .route("/invoices", post(handlers::issue))
        .route("/invoices/{number}", get(handlers::show))
        .route("/invoices/{number}/payments", post(handlers::pay))
        .route("/invoices/{number}/events", get(handlers::events))
        .with_state(app)
}

fn address() -> String {
    let on_port = |port| format!("127.0.0.1:{port}");
    env::var("LISTEN").unwrap_or_else(|_| on_port(env::var("PORT").unwrap_or_else(|_| "3000".to_owned())))
}
