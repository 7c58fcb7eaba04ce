//! Following a repository: commits are imported as they arrive, and the churn is kept up to date, until Ctrl-C.

use std::convert::Infallible;
use std::io::{self, Write};
use std::time::Duration;

use event_sourcery::EventStore;
use event_sourcery_sqlite::SqliteBackend;
use indicatif::ProgressBar;

use crate::git::Repository;
use crate::{Result, churn, import, say};

/// How often git is asked for new commits.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) async fn follow(
    repository: Repository,
    store: &EventStore<SqliteBackend>,
    out: &mut impl Write,
) -> Result<()> {
    churn::create_table(store).await?;
    let churn = churn::subscription(store)?.until(tokio::signal::ctrl_c()).run_in_transaction(churn::count);
    // Asking git blocks: in a task of its own it does not keep the subscription from renewing its lease.
    let importing = tokio::spawn(keep_importing(repository, store.erased()));

    writeln!(out, "Following. Ctrl-C ends it.")?;
    tokio::select! {
        ended = churn => ended?,
        failed = importing => match failed?? {},
    }
    churn::write(store, out).await
}

/// Imports again and again. Dropped in the middle, it has left whole commits, which the next import recognises.
async fn keep_importing(repository: Repository, store: EventStore) -> Result<Infallible> {
    loop {
        let imported = import::import(&repository, &store, &ProgressBar::hidden()).await?;
        if imported.commits > 0 {
            say(&imported, &mut io::stdout())?;
        }
        tokio::time::sleep(LOOK).await;
    }
}
