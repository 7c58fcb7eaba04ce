//! The history of a git repository as events: a stream for each file.
//!
//! ```sh
//! cargo run --release --example git_history -- PATH_TO_A_REPOSITORY [--file PATH] [--store PATH]
//! ```
//!
//! It imports what is new since it last ran, one append for each commit, and then answers from the events alone: which
//! files change most, who is busiest, and the life of one file under all its names.
//!
//! `follow` goes on: it imports commits as they arrive, and keeps a table of the lines that each author added and removed in
//! each month. Kill it at any time and start it again: the table is what `git log --numstat` says. Ctrl-C ends it, and shows
//! the table.
//!
//! ```sh
//! cargo run --release --example git_history -- follow PATH_TO_A_REPOSITORY [--store PATH]
//! ```
//!
//! Two decisions. A path that is too long for a stream's name has a stream by UUID, and every event says its path. And
//! the events are those of all branches: a stream holds what happened to a path on any of them, parents before
//! children, so that a file can be changed on one branch after it was deleted on another.
//!
//! Any clone will do. A history of some ten thousand commits shows what it is worth.

mod change;
mod churn;
mod events;
mod follow;
mod git;
mod history;
mod import;
mod report;
mod story;

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use event_sourcery::EventStore;
use event_sourcery_sqlite::SqliteBackend;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::events::FilePath;
use crate::git::Repository;
use crate::import::Imported;

type Failure = Box<dyn Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

const USAGE: &str = "usage: git_history REPOSITORY [--file PATH] [--store PATH]\n       git_history follow REPOSITORY [--store PATH]";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::read(env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("git_history: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if nobody_reads(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let store_error = error.downcast_ref().map(event_sourcery::Error::in_full);
            eprintln!("git_history: {}", store_error.unwrap_or_else(|| error.to_string()));
            ExitCode::FAILURE
        }
    }
}

async fn run(Arguments { follow, repository, file, store }: Arguments) -> Result<()> {
    let repository = Repository::open(&repository)?;
    let path = store.unwrap_or_else(|| format!("{}.history.db", repository.name()).into());
    let store = EventStore::new(SqliteBackend::open(&path).await?);

    let mut out = io::stdout();
    writeln!(out, "{} -> {}", repository.name(), path.display())?;
    if follow {
        return follow::follow(repository, &store, &mut out).await;
    }

    let store = store.erased();
    let progress = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "{wide_bar} {human_pos} of {human_len} commits, {eta} to go",
    )?);
    let imported = import::import(&repository, &store, &progress).await?;
    progress.finish_and_clear();
    say(&imported, &mut out)?;
    report::write(&store, file.as_ref(), &mut out).await
}

fn say(imported: &Imported, out: &mut impl Write) -> io::Result<()> {
    let Imported { commits, events, repeated, took } = imported;
    if *commits == 0 {
        return writeln!(out, "Nothing new since the last import ({} ms).", took.as_millis());
    }
    let speed = report::speed(events + repeated, *took);
    writeln!(
        out,
        "Commits imported: {}. Events appended: {}, {speed}.",
        HumanCount(*commits),
        HumanCount(*events)
    )?;
    if *repeated > 0 {
        let repeated = HumanCount(*repeated);
        writeln!(out, "Events that an interrupted import had left already: {repeated}.")?;
    }
    Ok(())
}

/// The output was piped into something that has seen enough, such as `head`.
fn nobody_reads(error: &Failure) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[derive(Default)]
struct Arguments {
    follow: bool,
    repository: PathBuf,
    file: Option<FilePath>,
    store: Option<PathBuf>,
}

impl Arguments {
    fn read(mut given: impl Iterator<Item = OsString>) -> Result<Self> {
        let mut arguments = Self::default();
        let mut repository = None;
        while let Some(argument) = given.next() {
            let mut value = || given.next().ok_or_else(|| format!("{} needs a path", argument.display()));
            match argument.to_str() {
                Some("--file") => arguments.file = Some(FilePath::from_bytes(value()?.as_encoded_bytes())),
                Some("--store") => arguments.store = Some(value()?.into()),
                Some(unknown) if unknown.starts_with('-') => {
                    return Err(format!("{unknown} is unknown").into());
                }
                Some("follow") if !arguments.follow && repository.is_none() => arguments.follow = true,
                _ if repository.is_some() => return Err("one repository at a time".into()),
                _ => repository = Some(PathBuf::from(argument)),
            }
        }
        if arguments.follow && arguments.file.is_some() {
            return Err("--file does not go with follow".into());
        }
        Ok(Self { repository: repository.ok_or("which repository?")?, ..arguments })
    }
}
