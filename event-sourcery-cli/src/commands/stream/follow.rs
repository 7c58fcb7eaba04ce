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
        let mut last = between(&store, &stream, (Position::START, settled), self.limit.into()).await?;
        loop {
            for seen in last.iter().rev() {
                show(seen, out)?;
            }
            out.flush()?;
            let after = settled;
            settled = store.backend().wait_beyond(after).await?;
            tokio::time::sleep(TOGETHER).await;
            settled = store.position().await?.max(settled);
            last = between(&store, &stream, (after, settled), usize::MAX).await?;
        }
    }
}

/// The last events of a stream in a stretch of the store, the very last first. The stretch ends at a settled position: nothing
/// appears in it any more.
async fn between(
    store: &EventStore,
    stream: &StreamId,
    (after, up_to): (Position, Position),
    most: usize,
) -> Result<Vec<Seen>, Failure> {
    let (mut found, mut from): (Vec<Seen>, Option<Mark>) = (Vec::new(), None);
    while found.len() < most {
        // One more, for what stands above.
        let page = store.look().backwards(stream, from, (most - found.len()).saturating_add(1)).await?;
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
