//! `stream follow`: the last events of a stream, and those that come.

use std::time::Duration;

use clap::Args;
use event_sourcery::backend::Backend as _;
use event_sourcery::look::{Mark, Seen};
use event_sourcery::{EventStore, Position, StreamId};

use crate::events::{EventJson, in_a_line};
use crate::failure::Failure;
use crate::output::{Output, safe, shortened};
use crate::session::{Access, Session};
use crate::streams::Named;

/// How much of a payload is shown to people.
const OF_A_PAYLOAD: usize = 2_000;

/// How many events are in memory at once.
const PAGE: usize = 64;

/// How long what comes is gathered, before it is looked what of it is this stream's: every commit of the store is told.
const TOGETHER: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub(super) struct Follow {
    #[command(flatten)]
    named: Named,

    /// How many of its last events are shown first, up to 1000
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=1_000))]
    limit: u16,
}

impl Follow {
    pub(super) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let store = session.open(Access::Look).await?;
        let stream = self.named.find(&store).await?;
        let mut settled = store.position().await?;
        // What is above the settled position comes in its turn.
        let last = between(&store, &stream, None, (Position::START, settled), self.limit.into()).await?;
        for seen in last.iter().rev() {
            show(seen, out)?;
        }
        drop(last);
        loop {
            out.flush()?;
            let after = settled;
            settled = store.backend().wait_beyond(after).await?;
            tokio::time::sleep(TOGETHER).await;
            settled = store.position().await?.max(settled);
            show_between(&store, &stream, (after, settled), out).await?;
        }
    }
}

/// Shows the events of a stream in a stretch of the store, in their order. They are read from the end back: once for where the pages
/// begin, and once more for what stands in them. So a page is in memory, however long the stretch has become.
async fn show_between(
    store: &EventStore,
    stream: &StreamId,
    (after, up_to): (Position, Position),
    out: &mut Output,
) -> Result<(), Failure> {
    // Each with what stands below its last event.
    let mut pages: Vec<(Option<Mark>, Position)> = Vec::new();
    let mut from: Option<Mark> = None;
    loop {
        let page = store.look().backwards(stream, from.clone(), PAGE).await?;
        let Some(last) = page.items.last() else { break };
        let below = Position::from_i64(last.position().to_i64().saturating_sub(1));
        pages.push((from, below.max(after)));
        from = page.next.filter(|_| below > after);
        if from.is_none() {
            break;
        }
    }
    for (from, below) in pages.into_iter().rev() {
        for seen in between(store, stream, from, (below, up_to), usize::MAX).await?.iter().rev() {
            show(seen, out)?;
        }
    }
    Ok(())
}

/// The last events of a stream in a stretch of the store, from its end or from a mark back, the very last first. The stretch ends at a
/// settled position: nothing appears in it any more.
async fn between(
    store: &EventStore,
    stream: &StreamId,
    mut from: Option<Mark>,
    (after, up_to): (Position, Position),
    most: usize,
) -> Result<Vec<Seen>, Failure> {
    let mut found: Vec<Seen> = Vec::new();
    while found.len() < most {
        // One more, for what stands above.
        let wanted = (most - found.len()).saturating_add(1).min(PAGE);
        let page = store.look().backwards(stream, from, wanted).await?;
        for seen in page.items {
            let position = seen.position().to_i64();
            if position <= after.to_i64() {
                return Ok(found);
            }
            if position <= up_to.to_i64() && found.len() < most {
                found.push(seen);
            }
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    Ok(found)
}

fn show(seen: &Seen, out: &mut Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&EventJson::of(seen));
    }
    let data = match seen.unreadable() {
        Some(problem) => format!("cannot be read: {problem}"),
        None => shortened(seen.data(), OF_A_PAYLOAD),
    };
    out.line(&safe(&format!("{}  {data}", in_a_line(seen)), ""))
}
