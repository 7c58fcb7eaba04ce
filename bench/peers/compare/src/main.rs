//! Measures the library and other event stores by turns, and writes the figures into BENCHMARKS.md: see `scripts/bench-peers`.
//!
//! ```sh
//! compare                      # every workload on every backend
//! compare sqlite/load postgres # those whose names begin so; the others stay as they were
//! compare --try                # short rounds; keeps nothing
//! compare report               # tables and plot again, from what is kept
//! ```

mod contender;
mod figure;
#[allow(dead_code, reason = "shared with the figures beside the raw database, which look at more")]
#[path = "../../../src/machine.rs"]
mod machine;
mod measure;
#[path = "../../../src/page.rs"]
mod page;
mod place;
mod plot;
mod report;
#[path = "../../../src/results.rs"]
mod results;
#[path = "../../../src/spread.rs"]
mod spread;
mod workload;

use std::path::{Path, PathBuf};

use postgres_cluster::Cluster;

use crate::machine::Machine;
use crate::measure::Run;
use crate::place::Backend;
use crate::results::Results;

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

const ROUNDS: usize = 7;
const ROUNDS_OF_A_TRY: usize = 2;
const SHORTENED_FOR_A_TRY: usize = 10;

fn main() -> Result<()> {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted == ["report"] {
        return report::write(&Results::kept()?);
    }
    let words = wanted.len();
    wanted.retain(|word| word != "--try");
    let is_try = wanted.len() < words;
    let folder = folder()?;
    let mut run = Run {
        wanted,
        rounds: if is_try { ROUNDS_OF_A_TRY } else { ROUNDS },
        shortened: if is_try { SHORTENED_FOR_A_TRY } else { 1 },
        folder: folder.clone(),
        cluster: None,
        figures: Vec::new(),
    };
    if run.wants_any_of(Backend::Postgres) {
        if std::env::var_os("EVENT_SOURCERY_POSTGRES_BIN").is_none() {
            return Err("PostgreSQL is to be measured, and EVENT_SOURCERY_POSTGRES_BIN does not say where its programs are: run \
                        `scripts/bench-peers`, or choose `sqlite`"
                .into());
        }
        let cluster = Cluster::start(&[]);
        machine::filesystem(Path::new(&cluster.psql("postgres", "SHOW data_directory")))?;
        run.cluster = Some(cluster);
    }
    let server = run.cluster.as_ref().map(|cluster| cluster.psql("postgres", "SHOW server_version"));
    let machine = Machine { postgres: server, ..Machine::look(&folder, "each its own")? };
    run.all()?;
    if is_try {
        return Ok(());
    }
    let mut results = Results::kept()?;
    results.replace(machine, run.figures);
    results.keep()?;
    report::write(&results)
}

/// Where the files are: beside what is built, on the disk that holds the sources.
fn folder() -> Result<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/stores"));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
