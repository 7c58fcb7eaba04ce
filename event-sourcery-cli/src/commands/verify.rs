//! `verify`: every event is read, and what cannot be read is reported.

use clap::Args;
use event_sourcery::look::{EventsRequest, Mark, Seen};
use event_sourcery::uuid::Uuid;
use event_sourcery::{Error, EventStore, RawEvent, StreamId, TenantId};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Output, safe};
use crate::progress::Progress;
use crate::session::{Access, Session, category};

/// How many events are asked for at once.
const PAGE: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Only events of streams of this category
    #[arg(long)]
    category: Option<String>,

    /// Only events above this position, such as `up_to` of an earlier run
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: i64,

    /// Describes so many at most of what cannot be read
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
}

/// What was found, as a program gets it.
#[derive(Serialize, Default)]
struct Found {
    read: u64,
    /// How many of them cannot be read.
    damaged: u64,
    /// How many have fields that are encrypted, which were not opened.
    encrypted: u64,
    /// Up to where the store was read.
    up_to: i64,
    /// The first of those that cannot be read.
    failures: Vec<Damaged>,
}

#[derive(Serialize)]
struct Damaged {
    position: i64,
    tenant: TenantId,
    stream: StreamId,
    version: Option<u64>,
    id: Uuid,
    name: String,
    problem: String,
}

impl Verify {
    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let store = session.open(Access::Look).await?;
        let found = self.read(&store).await?;
        let told = if out.is_json() { out.json(&found) } else { tell(&found, out) };
        out.end(told, found.damaged == 0, Failure::Damaged)
    }

    async fn read(&self, store: &EventStore) -> Result<Found, Failure> {
        let mut progress = Progress::new();
        let end = store.position().await?.to_i64();
        let mut request = EventsRequest::first(PAGE);
        request.category = category(self.category.as_deref())?;
        if self.after > end {
            return Err(Failure::Refused {
                what: format!("the store ends at position {end}, before {}", self.after),
                to_do: "mind the store: one from a backup is read from its beginning".to_owned(),
            });
        }
        let mut found = Found { up_to: end, ..Found::default() };
        let mut from = Some(Mark::at(self.after));
        while let Some(mark) = from {
            progress.tell(found.read, Some((mark.number()?, end)));
            let page = store.look().events(request.clone().with_from(Some(mark))).await?;
            for seen in page.items.iter().filter(|seen| seen.position().to_i64() <= end) {
                found.note(seen, self.limit);
            }
            // What is above may not be all yet.
            from = page.next.filter(|next| next.number().is_ok_and(|next| next < end));
        }
        Ok(found)
    }
}

impl Found {
    fn note(&mut self, seen: &Seen, described: usize) {
        self.read += 1;
        let problem = match seen.decode::<RawEvent>() {
            Ok(_) => return,
            // Masks stand in it: it can be read as everybody reads it who has no keys.
            Err(Error::EncryptionMissing { .. }) => {
                self.encrypted += 1;
                return;
            }
            Err(problem) => problem,
        };
        self.damaged += 1;
        if self.failures.len() < described {
            self.failures.push(Damaged {
                position: seen.position().to_i64(),
                tenant: seen.tenant_id().clone(),
                stream: seen.stream_id().clone(),
                version: seen.version(),
                id: seen.uuid(),
                name: seen.name().to_owned(),
                problem: problem.in_full(),
            });
        }
    }
}

fn tell(found: &Found, out: &mut Output) -> Result<(), Failure> {
    for damaged in &found.failures {
        out.line(&safe(&format!("at position {}: {}", damaged.position, damaged.problem), ""))?;
    }
    let missing = found.damaged.saturating_sub(found.failures.len() as u64);
    if missing > 0 {
        out.line(&format!("and {missing} more"))?;
    }
    let Found { read, damaged, encrypted, up_to, .. } = found;
    let told = format!("{damaged} cannot be read, {encrypted} have encrypted fields");
    out.line(&format!("{read} events read up to position {up_to}: {told}."))?;
    out.line("Whether your types decode them, your program tells: `EventStore::verify`.")
}
