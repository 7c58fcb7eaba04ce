//! The commands, one module each.

mod compare;
mod completion;
mod copy;
mod event;
mod export;
mod holders;
mod import;
mod left_out;
#[cfg(feature = "mcp")]
mod mcp;
mod mending;
mod migrate;
mod outbox;
mod search;
#[cfg(feature = "browser")]
mod serve;
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

/// What is told of a command that writes to a store, once it was interrupted.
const GOES_ON: &str = "what was written by then stays, and the same command goes on from there";

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
    /// Copies the events into another store, while this one may go on being written; reads both
    Copy(copy::Copy),
    /// Tells whether another store has the same events: reads both, and changes nothing
    Compare(compare::Compare),
    /// Writes the events to a file, as JSON lines
    Export(export::Export),
    /// Reads events from such a file, or from the store of another library
    Import(import::Import),
    /// Serves a browser for the store, on this machine, until Ctrl-C
    #[cfg(feature = "browser")]
    Serve(serve::Serve),
    /// Lets an assistant look, over the Model Context Protocol on the standard input and output
    #[cfg(feature = "mcp")]
    Mcp(mcp::Mcp),
    /// Prints what a shell needs to complete commands
    Completion(completion::Completion),
}

impl Command {
    /// Whether Ctrl-C is how it ends.
    pub(crate) const fn ends_when_interrupted(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.follows(),
            Self::Copy(copy) => copy.follows(),
            #[cfg(feature = "browser")]
            Self::Serve(_) => true,
            #[cfg(feature = "mcp")]
            Self::Mcp(_) => true,
            _ => false,
        }
    }

    /// What there is of it, once it was interrupted.
    pub(crate) const fn interrupted(&self) -> &'static str {
        match self {
            Self::Copy(_) => GOES_ON,
            Self::Import(import) if import.writes() => GOES_ON,
            Self::Export(export) if export.is_to_file() => "no file was written; what was there is as it was",
            Self::Export(_) => "what was written by then is no whole file, and is of no use",
            _ => "it has not come to its end, and what it has printed is not all",
        }
    }

    /// The address of its store, where it names that itself.
    pub(crate) fn own_address(&self) -> Option<&str> {
        match self {
            #[cfg(feature = "browser")]
            Self::Serve(serve) => serve.url.as_deref(),
            #[cfg(feature = "mcp")]
            Self::Mcp(mcp) => mcp.url.as_deref(),
            _ => None,
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
        Command::Copy(copy) => copy.run(&session, out).await,
        Command::Compare(compare) => compare.run(&session, out).await,
        Command::Export(export) => export.run(&session, out).await,
        Command::Import(import) => import.run(&session, out).await,
        #[cfg(feature = "browser")]
        Command::Serve(serve) => serve.run(&session, out).await,
        #[cfg(feature = "mcp")]
        Command::Mcp(mcp) => mcp.run(&session).await,
        Command::Completion(_) => Ok(()),
    };
    ended?;
    output.flush()
}
