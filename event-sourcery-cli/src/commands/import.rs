//! `import`: events from a file of them, or from the store of another library.

mod others;
mod report;

use clap::Args;
use event_sourcery::copy::{self, Copied};
use tokio::fs::File;
use tokio::io::{AsyncBufRead, BufReader};

use self::others::Others;
use super::{compare, copy as copying};
use crate::asking::Consent;
use crate::failure::Failure;
use crate::location::Location;
use crate::output::Output;
use crate::progress::Progress;
use crate::session::{Access, Session};

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file that `export` has written, or - for the standard input; with --from, the address of the other store
    source: String,

    #[command(flatten)]
    others: Others,

    /// Compares the two, event by event, and changes nothing
    #[arg(long, conflicts_with = "dry_run")]
    compare: bool,

    #[command(flatten)]
    consent: Consent,
}

impl Import {
    pub(crate) const fn writes(&self) -> bool {
        !self.compare && !self.others.dry_run
    }

    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let access = if self.writes() { Access::Change } else { Access::Look };
        if self.others.from.is_some() {
            let store = session.open(access).await?;
            let import = self.others.open(&self.source, &store).await?;
            if self.compare {
                return report::compared(&import.compare().await?, out);
            }
            if self.others.dry_run {
                return report::planned(&import.dry_run().await?, out);
            }
            self.agreed(session).await?;
            return self.others.run(import, out).await;
        }
        if session.tenant().is_some() {
            return Err(Failure::Usage {
                what: "a file says itself whose its events are".to_owned(),
                to_do: "leave --tenant out".to_owned(),
            });
        }
        let file = open(&self.source).await?;
        let store = session.open(access).await?;
        if self.compare {
            let compared = copy::Copy::import(file, &store).compare().await?;
            return compare::tell(&compared, &[], out);
        }
        self.agreed(session).await?;
        let mut progress = Progress::new();
        let told = move |so_far: &Copied| progress.tell(so_far.written + so_far.present, None);
        let copied = copy::Copy::import(file, &store).on_progress(told).run().await?;
        copying::tell(&copied, out)
    }

    async fn agreed(&self, session: &Session) -> Result<(), Failure> {
        // Of an address, what is no password.
        let source = match Location::parse(&self.source) {
            Ok(location) => location.to_string(),
            Err(_) => self.source.clone(),
        };
        self.consent.to(&format!("import {source} into {}", session.location())).await
    }
}

async fn open(path: &str) -> Result<Box<dyn AsyncBufRead + Unpin + Send>, Failure> {
    if path == "-" {
        return Ok(Box::new(BufReader::new(tokio::io::stdin())));
    }
    match File::open(path).await {
        Ok(file) => Ok(Box::new(BufReader::new(file))),
        Err(error) => Err(Failure::Refused {
            what: format!("the file {path} cannot be read: {error}"),
            to_do: "mind its path; the store of another library needs --from, one of ours is copied: \
                    `event-sourcery copy`"
                .to_owned(),
        }),
    }
}
