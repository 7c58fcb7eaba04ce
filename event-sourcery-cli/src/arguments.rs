//! What is said on the command line, and what is told about it where it cannot be meant.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

use crate::commands::Command;
use crate::failure::Failure;
use crate::location::{Hidden, Location};
use crate::output::safe;

/// The variable that has the store's address where the command line has none.
pub(crate) const VARIABLE: &str = "EVENT_SOURCERY_URL";

const MORE: &str = "\
The store:
  sqlite:orders.db                            a file; options: ?prefix=billing_
  postgres://user@host/database               a database; options: ?schema=..&prefix=..&pooler=transaction,
                                              and those of PostgreSQL: sslmode, sslrootcert, sslcert, sslkey, options, ..

Exit codes:
  0    done, and found where something was looked for
  1    not found, refused, found to be damaged, left out in part, or not equal
  2    the command line cannot be meant
  3    the store cannot be opened, reached or read
  130  ended by Ctrl-C; 0 where that is how it ends, as for `stream follow`, `serve` and `copy --follow`
  141  cut short, because whoever reads the output has closed it; 0 for what goes on until it is ended

Listings have pages: --limit says how long they are, and their last line how to go on.
--json prints one document, for programs.";

/// Looks inside an event store: what happened, why, what failed on it, and who waits for what
#[derive(Parser)]
#[command(name = "event-sourcery", version, about, after_help = MORE)]
pub(crate) struct Arguments {
    /// The store's address; without, the one in EVENT_SOURCERY_URL
    ///
    /// A password is better kept there, or in PGPASSWORD: command lines are seen by others on the machine.
    #[arg(long, short, global = true, value_name = "URL")]
    store: Option<String>,

    /// Whose streams and subscriptions: this tenant's alone
    ///
    /// Without, listings have everybody's, and a stream is one of no tenant.
    #[arg(long, global = true, value_name = "TENANT")]
    pub(crate) tenant: Option<String>,

    /// Prints JSON, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// The store's address, from wherever it is.
    pub(crate) fn location(&self) -> Result<Location, Failure> {
        let said = match (self.command.own_address(), self.store.as_deref()) {
            (Some(_), Some(_)) => {
                return Err(Failure::Usage {
                    what: "the store's address was said twice".to_owned(),
                    to_do: "leave --store out, or the address behind the command".to_owned(),
                });
            }
            (own, store) => own.or(store).map(str::to_owned),
        };
        let url = said.or_else(|| std::env::var(VARIABLE).ok()).filter(|url| !url.is_empty());
        let missing = || Failure::Usage {
            what: "which store is meant was not said".to_owned(),
            to_do: format!("give --store sqlite:PATH or --store postgres://.., or set {VARIABLE}"),
        };
        Location::parse(&url.ok_or_else(missing)?)
    }
}

/// What was said and is not to be printed: an address may stand where none belongs.
pub(crate) fn hidden() -> Hidden {
    let arguments = std::env::args_os().skip(1).chain(std::env::var_os(VARIABLE));
    arguments
        .fold(Hidden::default(), |hidden, argument| hidden.and(Hidden::of(Some(&argument.to_string_lossy()))))
}

/// Tells what is wrong with the command line, or what was asked about it, without a password that stands in it.
pub(crate) fn told(error: &clap::Error) -> ExitCode {
    let text = safe(&hidden().out_of(&error.render().to_string()), "\n");
    // Where nobody hears it, the exit code tells.
    let _ = if error.use_stderr() {
        std::io::stderr().write_all(text.as_bytes())
    } else {
        std::io::stdout().write_all(text.as_bytes())
    };
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
