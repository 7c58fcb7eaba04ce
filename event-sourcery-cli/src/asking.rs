//! Nothing is changed that nobody has agreed to.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;

use crate::failure::Failure;
use crate::output::safe;

/// Whether it was agreed to beforehand.
#[derive(Debug, Args)]
pub(crate) struct Consent {
    /// Does it without asking
    #[arg(long, short)]
    yes: bool,
}

impl Consent {
    /// Asks whether that is to be done, unless it was agreed to beforehand. Where nobody can be asked, it is not done.
    pub(crate) async fn to(&self, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        let what = safe(what, "");
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(Failure::Refused {
                what: format!("nobody can be asked whether to {what}, so nothing was changed"),
                to_do: "say it with --yes".to_owned(),
            });
        }
        write!(io::stderr(), "{what}? [y/N] ")?;
        if answer().await? {
            return Ok(());
        }
        let (what, to_do) = ("nothing was changed".to_owned(), "answer y, or give --yes".to_owned());
        Err(Failure::Refused { what, to_do })
    }
}

/// Reads the answer in a thread of its own, so that Ctrl-C is heard meanwhile.
async fn answer() -> Result<bool, Failure> {
    let read = || {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    };
    let line = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}
