//! `trace`: why an event happened and what it has caused, or all that one request has.

mod tree;

use clap::Args;
use event_sourcery::EventStore;
use event_sourcery::look::{Causes, EventsRequest, Mark, Seen};
use event_sourcery::uuid::Uuid;
use serde::Serialize;

use self::tree::Tree;
use super::event::not_found;
use crate::events::{EventJson, OF_ALL, cause_of};
use crate::failure::Failure;
use crate::going_on::{Listing, MOST_PAGES, Paging, how_to_go_on};
use crate::output::Output;
use crate::session::{Access, Session};

/// How many causes of causes are looked for.
const CAUSES: usize = 64;

#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// The id of an event; or of a correlation, if it is none of an event
    id: Uuid,

    /// It is the id of a correlation: what one request has caused
    #[arg(long)]
    correlation: bool,

    /// Looks so many times as far for what an event has caused, up to 100
    #[arg(long, value_name = "TIMES", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=100))]
    further: u16,

    #[command(flatten)]
    paging: Paging,
}

/// What a program gets of an event.
#[derive(Serialize)]
struct TraceJson<'a> {
    event: EventJson<'a>,
    /// The nearest first.
    caused_by: Vec<EventJson<'a>>,
    /// In the order of positions.
    has_caused: Vec<EventJson<'a>>,
    /// Whether the store was looked through to its end.
    is_whole: bool,
}

impl Trace {
    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let store = session.open(Access::Look).await?;
        if !self.correlation
            && let Some(mut causes) = store.look().caused_by(self.id).await?
        {
            for _ in 1..self.further {
                store.look().find_more(&mut causes).await?;
            }
            return tell_causes(&store, &causes, out).await;
        }
        self.tell_correlated(&store, out).await
    }

    /// What has this correlation id. It is found from the newest one back, and told in the order in which it was stored.
    async fn tell_correlated(&self, store: &EventStore, out: &mut Output) -> Result<(), Failure> {
        let page = async |from: Option<Mark>, most: usize| -> Result<_, Failure> {
            let request = EventsRequest::newest(most).with_related_to([self.id]).with_from(from);
            let mut page = store.look().events(request).await?;
            page.items.retain(|seen| correlation_of(seen) == Some(self.id));
            Ok(page)
        };
        let mut found = Vec::new();
        let keep = |seen: Seen| {
            found.push(seen);
            Ok(())
        };
        let next = self.paging.walk(MOST_PAGES, page, keep).await?;
        found.reverse();
        if found.is_empty() && next.is_none() && self.paging.from().is_none() {
            return Err(not_found(self.id));
        }
        if out.is_json() {
            let mut listing = Listing::begin(out, OF_ALL);
            for seen in &found {
                listing.item(|| EventJson::of(seen), Vec::new)?;
            }
            return listing.end(next.as_ref(), "");
        }
        if found.is_empty() {
            out.line("Nothing of this correlation was found so far.")?;
        }
        Tree::of(found.iter()).print(None, out)?;
        let told = how_to_go_on(next.as_ref());
        if told.is_empty() { Ok(()) } else { out.line(&told) }
    }
}

fn correlation_of(seen: &Seen) -> Option<Uuid> {
    seen.context().ok().and_then(|context| context.correlation_id())
}

async fn tell_causes(store: &EventStore, causes: &Causes, out: &mut Output) -> Result<(), Failure> {
    let (causing, end) = causing(store, causes.root()).await?;
    if out.is_json() {
        return out.json(&TraceJson {
            event: EventJson::of(causes.root()),
            caused_by: causing.iter().map(EventJson::of).collect(),
            has_caused: causes.all().iter().map(EventJson::of).collect(),
            is_whole: causes.is_whole(),
        });
    }
    match end {
        End::First => {}
        End::Missing(cause) => {
            let told = "which is no event here: a command, or an event that was deleted";
            out.line(&format!("Caused by {cause}, {told}."))?;
        }
        End::Further(cause) => {
            out.line(&format!("What came before that: event-sourcery trace {cause}"))?;
        }
    }
    let all = causing.iter().rev().chain([causes.root()]).chain(causes.all());
    Tree::of(all).print(Some(causes.root().uuid()), out)?;
    if !causes.is_whole() {
        out.line("It may have caused more: look on with --further 2, or more.")?;
    }
    if let Some(correlation) = correlation_of(causes.root()) {
        out.line(&format!("All of its request: event-sourcery trace --correlation {correlation}"))?;
    }
    Ok(())
}

/// Where the causes of an event end.
enum End {
    /// With one that names none, or one of those before it.
    First,
    /// This is named as a cause, and is no event.
    Missing(Uuid),
    /// This is not looked for: there are too many.
    Further(Uuid),
}

/// What has caused an event, what has caused that, and so on, the nearest first; and how that ends.
async fn causing(store: &EventStore, event: &Seen) -> Result<(Vec<Seen>, End), Failure> {
    let (mut found, mut next): (Vec<Seen>, Option<Uuid>) = (Vec::new(), cause_of(event));
    while let Some(cause) = next {
        // Whoever writes contexts by hand may make a circle of them.
        if cause == event.uuid() || found.iter().any(|seen| seen.uuid() == cause) {
            break;
        }
        if found.len() == CAUSES {
            return Ok((found, End::Further(cause)));
        }
        let Some(seen) = store.look().event(cause).await? else { return Ok((found, End::Missing(cause))) };
        next = cause_of(&seen);
        found.push(seen);
    }
    Ok((found, End::First))
}
