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
                                              and those of PostgreSQL: sslmode, application_name, options, ..

Exit codes:
  0    done, and found where something was looked for
  1    not found, refused, or found to be damaged
  2    the command line cannot be meant
  3    the store cannot be opened, reached or read
  130  ended by Ctrl-C; 0 where that is how it ends, as for `stream follow`

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
    fn url(&self) -> Option<String> {
        self.store.clone().or_else(|| std::env::var(VARIABLE).ok()).filter(|url| !url.is_empty())
    }

    pub(crate) fn location(&self) -> Result<Location, Failure> {
        let missing = || Failure::Usage {
            what: "which store is meant was not said".to_owned(),
            to_do: format!("give --store sqlite:PATH or --store postgres://.., or set {VARIABLE}"),
        };
        Location::parse(&self.url().ok_or_else(missing)?)
    }

    /// What is in the address and not to be printed.
    pub(crate) fn hidden(&self) -> Hidden {
        Hidden::of(self.url().as_deref())
    }
}

/// Tells what is wrong with the command line, or what was asked about it, without a password that stands in it.
pub(crate) fn told(error: &clap::Error) -> ExitCode {
    let mut text = error.render().to_string();
    for argument in std::env::args_os() {
        text = Hidden::of(Some(&argument.to_string_lossy())).out_of(&text);
    }
    let text = safe(&text, "\n");
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
