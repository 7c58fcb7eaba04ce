//! Two services that talk through NATS: a shop, whose outbox publishes its orders, and books, whose inbox enters each of them once.
//! Each is a process of its own, with a file of its own.
//!
//! ```sh
//! scripts/two-services            # the broker and both services, in a new folder; Ctrl-C ends them
//! ```
//!
//! Or piece by piece, with a broker of yours; kill any of them at any time, and start it again:
//!
//! ```sh
//! cargo run -p event-sourcery-publish-nats --example two_services -- shop . nats://localhost 100
//! cargo run -p event-sourcery-publish-nats --example two_services -- books . nats://localhost
//! ```

mod books;
mod both;
mod messages;
mod shop;

use std::env;
use std::path::Path;
use std::process::ExitCode;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "usage: two_services [both [ORDERS] | shop FOLDER NATS ORDERS | books FOLDER NATS]";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] | ["both"] => both::run(20).await,
        ["both", orders] => match orders.parse() {
            Ok(orders) => both::run(orders).await,
            Err(_) => Err(USAGE.into()),
        },
        ["shop", folder, nats, orders] => match orders.parse() {
            Ok(orders) => shop::run(Path::new(folder), nats, orders).await,
            Err(_) => Err(USAGE.into()),
        },
        ["books", folder, nats] => books::run(Path::new(folder), nats).await,
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
