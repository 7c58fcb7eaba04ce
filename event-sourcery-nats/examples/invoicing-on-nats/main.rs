//! A small invoicing service that goes on while one of its three NATS servers is away: an invoice is what has happened to it.
//!
//! ```sh
//! scripts/with-nats cargo run -p event-sourcery-nats --example invoicing-on-nats
//!
//! json='Content-Type: application/json'
//! curl -i localhost:3000/invoices -H "$json" -d '{"number": "1003", "customer": "ACME", "total_cents": 5000}'
//! curl -i localhost:3000/invoices/1003/payments -H "$json" -d '{"amount_cents": 2000, "expected_version": 1}'
//! curl -i localhost:3000/invoices/1003
//! ```
//!
//! `NATS_URL` has the addresses of the servers, with commas between them. It listens on 127.0.0.1:3000, or on `LISTEN` (an address with
//! a port).

mod again;
mod error;
mod handlers;
mod invoice;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use event_sourcery::{Error, EventStore};
use event_sourcery_nats::async_nats::{ConnectOptions, ServerAddr, jetstream};
use event_sourcery_nats::{NatsBackend, NatsOptions};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::again::again;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What every handler gets.
pub(crate) type Store = EventStore<NatsBackend>;

const NO_NATS_URL: &str = "NATS_URL is not set. It has the addresses of NATS servers, such as \
    nats://127.0.0.1:4222,nats://127.0.0.1:4223,nats://127.0.0.1:4224, and `scripts/with-nats COMMAND` starts three";

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
    let options = options(&env::var("NATS_URL").map_err(|_| NO_NATS_URL)?).await?;
    // Servers that have just been started have to find each other first.
    let store = EventStore::new(again(|| options.clone().open()).await?);

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let address = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, router(store))
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
        .await?;
    Ok(())
}

async fn options(urls: &str) -> Result<NatsOptions, Failure> {
    let addresses = urls.split(',').map(|url| url.parse::<ServerAddr>()).collect::<Result<Vec<_>, _>>()?;
    // A server that is silent is left after three pings.
    let client = ConnectOptions::new().ping_interval(Duration::from_secs(2)).retry_on_initial_connect();
    let context = jetstream::new(client.connect(addresses).await?);
    // That they sync is told by whoever has configured them, as `scripts/with-nats` has.
    let options = NatsBackend::options(context, "INVOICING").replicas(3).servers_sync_always();
    Ok(options.timeout(Duration::from_secs(3)))
}

fn router(store: Store) -> Router {
    Router::new()
        .route("/invoices", post(handlers::issue))
        .route("/invoices/{number}", get(handlers::show))
        .route("/invoices/{number}/payments", post(handlers::pay))
        .with_state(store)
}
