//! The commands, one module each.

mod completion;
mod event;
mod holders;
mod mending;
mod migrate;
mod outbox;
mod search;
mod stats;
mod stream;
mod streams;
mod subscriptions;
mod trace;
mod verify;

use clap::Subcommand;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists streams: the newest first, or by name
    Streams(streams::Streams),
    /// Shows, follows or deletes a stream
    Stream(stream::Stream),
    /// Shows an event, whole
    Event(event::Event),
    /// Tells why an event happened and what it has caused, or what a request has
    Trace(trace::Trace),
    /// Searches events by name, category and time, the newest first
    Search(search::Search),
    /// Counts tenants, categories and events, and tells how far readers can come
    Stats(stats::Stats),
    /// Lists durable subscriptions, and looks after what has failed in them
    Subscriptions(subscriptions::Subscriptions),
    /// Lists what is to be published, and looks after what has failed of it
    Outbox(outbox::Outbox),
    /// Tells which open transactions hold readers up
    Holders(holders::Holders),
    /// Makes the store's tables, or brings them up to date
    Migrate(migrate::Migrate),
    /// Reads every event, and reports what cannot be read
    Verify(verify::Verify),
    /// Prints what a shell needs to complete commands
    Completion(completion::Completion),
}

impl Command {
    /// Whether Ctrl-C is how it ends.
    pub(crate) const fn ends_when_interrupted(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.follows(),
            _ => false,
        }
    }
}

/// Carries out what the command line says.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut output = Output::new(arguments.json);
    let out = &mut output;
    if let Command::Completion(completion) = &arguments.command {
        completion.run(out)?;
        return out.flush();
    }
    let session = Session::of(&arguments)?;
    let ended = match arguments.command {
        Command::Streams(streams) => streams.run(&session, out).await,
        Command::Stream(stream) => stream.run(&session, out).await,
        Command::Event(event) => event.run(&session, out).await,
        Command::Trace(trace) => trace.run(&session, out).await,
        Command::Search(search) => search.run(&session, out).await,
        Command::Stats(stats) => stats.run(&session, out).await,
        Command::Subscriptions(subscriptions) => subscriptions.run(&session, out).await,
        Command::Outbox(outbox) => outbox.run(&session, out).await,
        Command::Holders(holders) => holders.run(&session, out).await,
        Command::Migrate(migrate) => migrate.run(&session, out).await,
        Command::Verify(verify) => verify.run(&session, out).await,
        Command::Completion(_) => Ok(()),
    };
    ended?;
    output.flush()
}
