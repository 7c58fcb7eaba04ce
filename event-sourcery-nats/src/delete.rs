//! Deleting: a mark first, under an expectation like an append, and what it ends is removed behind it.

use std::time::{Duration, Instant};

use event_sourcery::backend::{DeleteRequest, Names};
use event_sourcery::{Result, StreamId, TenantId};
use tokio::time::sleep;

use crate::answers::Refusal;
use crate::jet::Outgoing;
use crate::message::{Chunk, Head, Kind};
use crate::store::Store;

/// How long a deletion goes on that loses every race, or that is put off.
const PATIENCE: Duration = Duration::from_secs(20);

impl Store {
    pub(crate) async fn delete(&self, request: &DeleteRequest) -> Result<()> {
        let (subject, began) = (self.subject(&request.tenant, &request.stream), Instant::now());
        loop {
            let Some(last) = self.events.last(&subject).await? else { return Ok(()) };
            let chunk = Chunk::read(last.sequence, &last.payload, &mut Names::default());
            // What cannot be read can be deleted.
            let head = chunk.map(|chunk| chunk.head).unwrap_or_default();
            match head.kind {
                Kind::Ended => return Ok(()),
                Kind::Ending => return self.finish_deleting(&subject, last.sequence).await,
                Kind::Named if head.first <= 1 => return Ok(()),
                Kind::Events | Kind::Named => {}
            }
            let mut messages = self.free_name(&request.tenant, &request.stream, &head).await?;
            let ending = Head { holder: head.holder, ..Head::mark(Kind::Ending) };
            messages.push(mark(&subject, &ending, last.sequence)?);
            self.memory.take(&subject);
            match self.events.publish(messages).await {
                Ok(ending) => return self.finish_deleting(&subject, ending).await,
                Err(Refusal::Lost | Refusal::NotNow(_)) if began.elapsed() < PATIENCE => pause().await,
                Err(refusal) => return Err(refusal.into_error()),
            }
        }
    }

    /// Removes what a mark has ended, and lets the stream live anew.
    pub(crate) async fn finish_deleting(&self, subject: &str, ending: u64) -> Result<()> {
        let (place, began) = (self.subjects.place_in(subject), Instant::now());
        // What is written beside the stream from here on is not of what was deleted: it does not live anew before the end. This is asked
        // first: where the mark is the last message even then, nobody else had brought the end.
        let (beside, _) = self.side.stand().await?;
        let last = self.events.last(subject).await?;
        let Some(message) = last.filter(|last| last.sequence == ending) else { return Ok(()) };
        let head = Chunk::need(ending, &message.payload, &mut Names::default())?.head;
        let end = Head { kind: Kind::Ended, ..head };
        self.events.purge(subject, ending).await?;
        let subjects = &self.subjects;
        for subjects in [subjects.rows_of(place), subjects.snapshots(place), subjects.states(place)] {
            self.side.purge(&subjects, beside + 1).await?;
        }
        self.events.purge(&self.subjects.guards(), ending).await?;
        loop {
            match self.events.publish(vec![mark(subject, &end, ending)?]).await {
                Ok(ended) => {
                    self.events.purge(subject, ended).await?;
                    self.woken_by(ended).await;
                    return Ok(());
                }
                Err(Refusal::Failed(error)) => return Err(*error),
                Err(refusal) => {
                    // Somebody else has finished it, perhaps.
                    if self.has_ended(subject, ending).await? {
                        return Ok(());
                    }
                    if began.elapsed() > PATIENCE {
                        return Err(refusal.into_error());
                    }
                    pause().await;
                }
            }
        }
    }

    async fn has_ended(&self, subject: &str, ending: u64) -> Result<bool> {
        Ok(self.events.last(subject).await?.is_none_or(|last| last.sequence != ending))
    }

    /// The mark that gives a name back which stands for another UUID.
    async fn free_name(&self, tenant: &TenantId, stream: &StreamId, head: &Head) -> Result<Vec<Outgoing>> {
        let Some(named) = head.name.as_deref().and_then(|name| StreamId::from_name(name).ok()) else {
            return Ok(Vec::new());
        };
        if named.uuid() == stream.uuid() {
            return Ok(Vec::new());
        }
        let rightful = match stream.category() {
            Some(category) => named.with_category(category.clone()),
            None => named,
        };
        let subject = self.subject(tenant, &rightful);
        let known = self.alive(&subject, None).await?;
        if known.holder != Some(stream.uuid()) {
            return Ok(Vec::new());
        }
        Ok(vec![mark(&subject, &known.named(None), known.sequence)?])
    }
}

/// A mark in a stream whose last message is this.
fn mark(subject: &str, mark: &Head, sequence: u64) -> Result<Outgoing> {
    let (payload, expects) = (mark.message(&[])?, Some((subject.to_owned(), sequence)));
    Ok(Outgoing { subject: subject.to_owned(), payload, expects })
}

async fn pause() {
    sleep(Duration::from_millis(fastrand::u64(1..=20))).await;
}
