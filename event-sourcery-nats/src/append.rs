//! Appends: what is decided on what is known, and published under the expectation that it is so still.

mod planning;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Expectation, Names, PresentEvent, Requirement, Written,
};
use event_sourcery::{AppendPosition, Error, Result};
use futures_util::future::try_join_all;
use tokio::time::sleep;
use uuid::Uuid;

use self::planning::{Piece, Plan, rightful};
use crate::answers::Refusal;
use crate::jet::Outgoing;
use crate::known::Known;
use crate::message::{Chunk, Head};
use crate::numbers;
use crate::store::{Store, changes_too_often};

/// How long an append goes on that loses every race, or that is put off.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long it pauses before it tries again, at most.
const LONGEST_PAUSE: u64 = 64;

/// What is known of streams, by their subjects.
type Streams = HashMap<String, Known>;

impl Store {
    pub(crate) async fn append(&self, request: &AppendRequest) -> Result<AppendOutcome> {
        let _seat = self.room.enter(Some(request.tenant.clone()), request.weight())?;
        let (began, mut pause, mut is_fresh) = (Instant::now(), 1, false);
        let mut streams = self.recall(request).await?;
        loop {
            match self.plan(request, &streams) {
                Ok(Plan::Write(pieces)) => match self.write(request, &mut streams, pieces).await {
                    Ok(written) => return Ok(AppendOutcome::Written(written)),
                    Err(Refusal::Lost) if began.elapsed() > PATIENCE => {
                        return Err(Error::busy(began.elapsed()));
                    }
                    Err(Refusal::Lost | Refusal::NotNow(_)) if began.elapsed() <= PATIENCE => {
                        // Whoever was faster is at work still, or others come: each waits for another while.
                        sleep(Duration::from_millis(fastrand::u64(0..=pause))).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                    Err(refusal) => return Err(refusal.into_error()),
                },
                Ok(Plan::Present(present)) if is_fresh => {
                    if let Some(present) = self.present(&streams, present).await? {
                        return Ok(AppendOutcome::Present(present));
                    }
                    if began.elapsed() > PATIENCE {
                        return Err(changes_too_often());
                    }
                }
                Err(refused) if is_fresh => {
                    self.remember(request, streams);
                    return Err(refused);
                }
                // What was remembered is no ground to refuse anything.
                _ => {}
            }
            streams = self.look(streams).await?;
            is_fresh = true;
        }
    }

    /// What is remembered of the streams, or has to be read. A stream that is to be new is taken to be: the expectation tells.
    async fn recall(&self, request: &AppendRequest) -> Result<Streams> {
        let (tenant, mut streams, mut unknown) = (&request.tenant, Streams::new(), Vec::new());
        for part in &request.streams {
            let subject = self.subject(tenant, &part.stream);
            match self.memory.take(&subject) {
                Some(known) => drop(streams.insert(subject, known)),
                None if part.expectation == Expectation::Version(0) => {
                    streams.insert(subject, Known::default());
                }
                None => unknown.push(subject),
            }
            unknown.extend(rightful(&part.stream).map(|rightful| self.subject(tenant, &rightful)));
        }
        for requirement in &request.requirements {
            if let Requirement::Stream(required) = requirement {
                unknown.push(self.subject(tenant, &required.stream));
            }
        }
        unknown.retain(|subject| !streams.contains_key(subject));
        let read = unknown.iter().map(|subject| self.alive(subject, None));
        let read = try_join_all(read).await?;
        streams.extend(unknown.into_iter().zip(read));
        Ok(streams)
    }

    /// What the streams are by now.
    async fn look(&self, streams: Streams) -> Result<Streams> {
        let looks = streams.into_iter().map(|(subject, known)| async move {
            let known = self.alive(&subject, Some(known)).await?;
            Ok::<_, Error>((subject, known))
        });
        Ok(try_join_all(looks).await?.into_iter().collect())
    }

    /// What a stream is by now, its deletion finished.
    pub(crate) async fn alive(&self, subject: &str, mut before: Option<Known>) -> Result<Known> {
        loop {
            let known = self.know(subject, before.take()).await?;
            if !known.is_ending {
                return Ok(known);
            }
            self.finish_deleting(subject, known.sequence).await?;
        }
    }

    /// What is known of the streams of an append that is over is still true.
    fn remember(&self, request: &AppendRequest, mut streams: Streams) {
        for part in &request.streams {
            let subject = self.subject(&request.tenant, &part.stream);
            if let Some(known) = streams.remove(&subject).filter(|known| known.count() > 0) {
                self.memory.put(subject, known);
            }
        }
    }

    async fn write(
        &self,
        request: &AppendRequest,
        streams: &mut Streams,
        pieces: Vec<Piece>,
    ) -> Result<Vec<Written>, Refusal> {
        if pieces.is_empty() {
            return Ok(Vec::new());
        }
        let (count, mut of) = (pieces.len() as u64, Vec::with_capacity(pieces.len()));
        let mut messages = Vec::with_capacity(pieces.len());
        for Piece { subject, payload, expects, of: whose } in pieces {
            of.push(whose.map(|whose| (subject.clone(), whose)));
            messages.push(Outgoing { subject, payload, expects });
        }
        let last = self.events.publish(messages).await?;
        let first = (last + 1).saturating_sub(count);
        let mut written = vec![Written::new(None, AppendPosition::from_i64(0)); request.streams.len()];
        for (sequence, whose) in (first..).zip(of) {
            let Some((subject, (number, head, range))) = whose else { continue };
            let (Some(part), Some(written)) = (request.streams.get(number), written.get_mut(number)) else {
                continue;
            };
            let first_version = head.versioned.then(|| head.first - range.start as u64);
            let position = AppendPosition::from_i64(numbers::last_of(sequence).to_i64());
            *written = Written::new(first_version, position);
            if let Some(known) = streams.get_mut(&subject) {
                let events = part.events.get(range).unwrap_or_default();
                known.written(sequence, &head, events.iter().map(|event| event.id));
            }
        }
        self.remember(request, std::mem::take(streams));
        self.woken_by(last).await;
        Ok(written)
    }

    /// The events that are there already; `None` where one of them is gone by now.
    async fn present(
        &self,
        streams: &Streams,
        present: Vec<(String, usize, Uuid)>,
    ) -> Result<Option<Vec<PresentEvent>>> {
        let reads = present.into_iter().map(|(subject, place, id)| async move {
            let Some(known) = streams.get(&subject) else { return Ok(None) };
            let Some((sequence, previous)) = known.message_of(place) else { return Ok(None) };
            let Some(message) = self.events.at(sequence).await? else { return Ok(None) };
            let chunk = Chunk::need(sequence, &message.payload, &mut Names::default())?;
            let name = known.name.as_deref().map(str::to_owned);
            let head = Head { name, ..chunk.head };
            let event = chunk.events.into_iter().find(|event| event.id == id);
            Ok::<_, Error>(event.map(|event| PresentEvent::new(head.record(event), previous)))
        });
        Ok(try_join_all(reads).await?.into_iter().collect())
    }
}
