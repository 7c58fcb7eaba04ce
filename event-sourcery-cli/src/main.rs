//! The event store from the command line: what happened, why, what failed on it, and who waits for what.
//!
//! Each command has a module of its own in [`commands`], with its arguments and what it does. A command that looks opens the store
//! so that nothing is created or migrated, on SQLite for reading only; one that changes something says what, and asks.

mod arguments;
mod asking;
mod commands;
mod events;
mod failure;
mod going_on;
mod interrupts;
mod location;
mod output;
mod progress;
mod session;
mod streams;
mod table;
mod whole;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use self::arguments::Arguments;
use self::failure::Failure;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return arguments::told(&error),
    };
    let hidden = arguments::hidden();
    let ended = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => {
            let ended = runtime.block_on(interrupts::heeding(arguments));
            // A question that nobody has answered waits in a thread of its own, and so may the names of hosts.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(Failure::Io(error)),
    };
    let Err(failure) = ended else { return ExitCode::SUCCESS };
    if let Some(told) = failure.told() {
        // Where nobody hears it, the exit code tells.
        let _ = writeln!(std::io::stderr(), "{}", hidden.out_of(&told));
    }
    ExitCode::from(failure.code())
}
