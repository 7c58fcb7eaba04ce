//! `outbox`: what is to be published, and what of it has failed.

use clap::{Args, Subcommand};
use event_sourcery::TenantId;
use event_sourcery::look::{Mark, Seen, SubscriptionId};

use super::mending::{self, Becomes, Mend};
use crate::events::{EventJson, OF_ALL, cells_of_all};
use crate::failure::Failure;
use crate::going_on::{Listing, MOST_PAGES, Paging};
use crate::output::Output;
use crate::session::{Access, Session};

#[derive(Debug, Args)]
pub(crate) struct Outbox {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    paging: Paging,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists what waits for an entry that could not be published
    Waiting(Paging),
    /// Tries again to publish an entry, and those behind it in its stream
    Replay(Mend),
    /// Takes an entry out without publishing it
    Skip(Mend),
}

impl Outbox {
    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        if self.action.is_some() {
            self.paging.refuse_before_action()?;
        }
        let id = SubscriptionId::outbox(session.tenant().cloned().unwrap_or(TenantId::DEFAULT));
        let access = match self.action {
            None | Some(Action::Waiting(_)) => Access::Look,
            Some(Action::Replay(_) | Action::Skip(_)) => Access::Change,
        };
        let store = session.open(access).await?;
        match self.action {
            Some(Action::Waiting(paging)) => mending::list(&store, &id, &paging, out).await,
            Some(Action::Replay(mend)) => mend.run(&store, &id, Becomes::Replayed, (session, out)).await,
            Some(Action::Skip(mend)) => mend.run(&store, &id, Becomes::Skipped, (session, out)).await,
            None => {
                let mut listing = Listing::begin(out, OF_ALL);
                let page = async |from: Option<Mark>, most: usize| -> Result<_, Failure> {
                    Ok(store.look().outbox(from, most).await?)
                };
                let show = |seen: Seen| listing.item(|| EventJson::of(&seen), || cells_of_all(&seen));
                let next = self.paging.walk(MOST_PAGES, page, show).await?;
                listing.end(next.as_ref(), "Nothing waits to be published.")
            }
        }
    }
}
