//! `stream`: one stream, shown, followed or deleted.

mod follow;

use clap::{Args, Subcommand};
use event_sourcery::StreamId;
use event_sourcery::look::{Mark, Seen};
use serde::Serialize;

use self::follow::Follow;
use crate::asking::Consent;
use crate::events::{EventJson, OF_A_STREAM, cells_of_a_stream};
use crate::failure::Failure;
use crate::going_on::{Listing, MOST_PAGES, Paging};
use crate::output::{Output, safe};
use crate::session::{Access, Session};
use crate::streams::Named;

#[derive(Debug, Args)]
pub(crate) struct Stream {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows its events, from the last one back
    Show(Show),
    /// Shows its last events, and those that come, until Ctrl-C
    Follow(Follow),
    /// Deletes it, with its snapshots, cursors and parked events
    Delete(Delete),
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    paging: Paging,
}

#[derive(Debug, Args)]
struct Delete {
    #[command(flatten)]
    named: Named,

    /// Drops also what is still to be published of it
    #[arg(long)]
    drop_outbox: bool,

    #[command(flatten)]
    consent: Consent,
}

/// What was deleted, as a program gets it.
#[derive(Serialize)]
struct Deleted<'a> {
    deleted: &'a StreamId,
}

impl Stream {
    pub(crate) const fn follows(&self) -> bool {
        matches!(self.action, Action::Follow(_))
    }

    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        match self.action {
            Action::Show(show) => show.run(session, out).await,
            Action::Follow(follow) => follow.run(session, out).await,
            Action::Delete(delete) => delete.run(session, out).await,
        }
    }
}

impl Show {
    async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let store = session.open(Access::Look).await?;
        let stream = self.named.find(&store).await?;
        let mut listing = Listing::begin(out, OF_A_STREAM);
        let page = async |from: Option<Mark>, most: usize| -> Result<_, Failure> {
            Ok(store.look().backwards(&stream, from, most).await?)
        };
        let show = |seen: Seen| listing.item(|| EventJson::of(&seen), || cells_of_a_stream(&seen));
        let next = self.paging.walk(MOST_PAGES, page, show).await?;
        listing.end(next.as_ref(), "It has no events before that.")
    }
}

impl Delete {
    async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let store = session.open(Access::Change).await?;
        let stream = self.named.find(&store).await?;
        let version = store.version(&stream).await?;
        let long = version.map(|version| format!(", which is at version {version}")).unwrap_or_default();
        let question = format!("delete the stream {stream}{long}, for good, in {}", session.location());
        self.consent.to(&question).await?;
        let deletion = store.delete_stream(&stream);
        if self.drop_outbox {
            deletion.drop_outbox().await?
        } else {
            deletion.await?
        }
        if out.is_json() {
            return out.json(&Deleted { deleted: &stream });
        }
        out.line(&safe(&format!("{stream} is deleted."), ""))
    }
}
