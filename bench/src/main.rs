//! Measures the library beside the raw database, prints one JSON line a figure, and writes them into BENCHMARKS.md.
//!
//! ```sh
//! cargo run --release                          # every figure
//! cargo run --release -- sequential load/10    # those whose names begin so; the others stay as they were
//! cargo run --release -- --try                 # short rounds, small stores; keeps nothing
//! ../scripts/with-postgres cargo run --release -- postgres    # those need a server's programs
//! cargo run --release -- nats                  # those need a NATS server, which ../scripts/test brings
//! ../scripts/with-postgres cargo run --release -- check       # fails where one of the main ratios is below its goal
//! cargo run --release -- report                # tables and plot again, from what is kept
//! ```

mod bench;
mod by_hand;
mod check;
mod figure;
mod groups;
mod invoice;
mod large_store;
mod machine;
mod page;
mod plot;
mod postgres;
mod report;
mod results;
mod spread;

use std::path::{Path, PathBuf};

use crate::bench::Bench;
use crate::figure::Figure;
use crate::groups::{
    aggregate, batch, closures, concurrent, deleting, held, in_memory, large, listening, load, nats_store,
    outbox, pages, privacy, sequential, subscribe, tags,
};
use crate::machine::Machine;
use crate::postgres::Server;
use crate::results::Results;

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

const PAIRS: usize = 11;
const PAIRS_OF_A_TRY: usize = 3;
const SHORTENED_FOR_A_TRY: usize = 10;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["check"] => check::run(),
        ["report"] => report::write(&Results::kept()?),
        ["resident", path] => tokio::runtime::Runtime::new()?.block_on(large::be_measured(Path::new(path))),
        ["held", place, reader, events] => {
            tokio::runtime::Runtime::new()?.block_on(held::be_measured(place, reader, events.parse()?))
        }
        ["subscribed", url, count] => {
            tokio::runtime::Runtime::new()?.block_on(outbox::nats::be_subscriber(url, count))
        }
        ["listen", place, count] => {
            tokio::runtime::Runtime::new()?.block_on(subscribe::be_listener(place, count))
        }
        _ => measure(words),
    }
}

fn measure(mut wanted: Vec<String>) -> Result<()> {
    let words = wanted.len();
    wanted.retain(|word| word != "--try");
    let is_try = wanted.len() < words;
    let mut bench = Bench {
        wanted,
        pairs: if is_try { PAIRS_OF_A_TRY } else { PAIRS },
        shortened: if is_try { SHORTENED_FOR_A_TRY } else { 1 },
        folder: folder()?,
        figures: Vec::new(),
    };
    let machine = take(&mut bench)?;
    if is_try {
        return Ok(());
    }
    let mut results = Results::kept()?;
    results.replace(machine, bench.figures);
    results.figures.sort_by_key(Figure::group);
    results.keep()?;
    report::write(&results)
}

/// Takes the figures that are wanted. Tells on which machine.
fn take(bench: &mut Bench) -> Result<Machine> {
    let server = if bench.wants("postgres") { Some(Server::start()?) } else { None };
    let nats = bench.wants("nats").then(outbox::nats::server);
    let about_server = server.as_ref().map(Server::about);
    let machine = Machine { postgres: about_server, ..Machine::look(&bench.folder, rusqlite::version())? };
    println!("{}", serde_json::to_string(&machine)?);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(sequential::measure(bench))?;
    runtime.block_on(concurrent::measure(bench))?;
    runtime.block_on(closures::measure(bench))?;
    runtime.block_on(batch::measure(bench))?;
    runtime.block_on(load::measure(bench))?;
    in_memory::measure(bench)?;
    runtime.block_on(large::measure(bench))?;
    runtime.block_on(pages::sqlite(bench))?;
    runtime.block_on(listening::measure(bench))?;
    runtime.block_on(outbox::measure(bench))?;
    if let Some(nats) = &nats {
        runtime.block_on(outbox::nats::measure(bench, nats))?;
    }
    if bench.wants("nats/store") {
        runtime.block_on(nats_store::measure(bench))?;
    }
    runtime.block_on(subscribe::sqlite(bench))?;
    runtime.block_on(aggregate::sqlite(bench))?;
    runtime.block_on(tags::sqlite(bench))?;
    runtime.block_on(privacy::sqlite(bench))?;
    runtime.block_on(held::measure(bench))?;
    runtime.block_on(deleting::measure(bench))?;
    if let Some(server) = &server {
        runtime.block_on(groups::postgres::measure(bench, server))?;
    }
    Ok(machine)
}

/// Where the files are: beside what is built, on the disk that holds the sources.
fn folder() -> Result<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/stores"));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
