//! Loads: a stream up to the message that its leader has named.

use event_sourcery::backend::{LoadRequest, LoadedStream, Names, PageRoom, Span, StoredEvent};
use event_sourcery::{Error, Position, Result, Version};

use crate::jet::Stored;
use crate::message::{Chunk, Head, Kind, unreadable};
use crate::numbers;
use crate::store::{Store, TRIES, Walk, changes_too_often, is_alive};
use crate::subjects::place;

/// What of a stream is wanted.
struct Wanted<'r> {
    request: &'r LoadRequest,
    /// Only what is behind this version: a snapshot stands in for the rest.
    behind: Version,
    /// The message to begin at.
    from: u64,
}

impl Store {
    pub(crate) async fn load(&self, request: &LoadRequest) -> Result<LoadedStream> {
        let place = place(&request.tenant, &request.stream);
        let subject = self.subjects.stream(&place);
        for _ in 0..TRIES {
            let Some((last, chunk)) = self.last_readable(&subject).await? else {
                return Ok(LoadedStream::default());
            };
            let is_damaged = chunk.is_none();
            let head = match chunk {
                Some(head) => Some(head),
                // What stands before it tells what the stream is.
                None => self.newest_head(&subject, last.sequence).await?,
            };
            let Some(head) = head.filter(has_events) else {
                return Ok(if is_damaged { damaged(&last, request.span) } else { LoadedStream::default() });
            };
            if matches!(request.span, Span::Versions { .. }) && !head.versioned {
                return Err(Error::VersionRangeOnVersionlessStream { stream: request.stream.clone() });
            }
            let snapshot = match request.span {
                Span::FromSnapshot { names, up_to } => self.snapshot(&place, &head, names, up_to).await?,
                Span::FromState { name, format } => self.state(&place, &head, name, format).await?,
                _ => None,
            };
            let behind = snapshot.as_ref().and_then(|snapshot| snapshot.version).unwrap_or(0);
            let from = match request.span {
                Span::After(position) => numbers::of(position).max(head.life.saturating_add(1)),
                Span::Last if head.kind == Kind::Events => last.sequence,
                _ => head.life.saturating_add(1),
            };
            let end = last.sequence;
            if from > end {
                let first = self.first_position(&subject, request, &head).await?;
                return Ok(LoadedStream::default().with_page(false, first));
            }
            let mut walk = Walk::new(&subject, from, last);
            let wanted = Wanted { request, behind, from };
            if let Some(mut loaded) = self.read(&mut walk, &wanted, (&head, end)).await? {
                if request.span == Span::Last {
                    let last = loaded.events.pop();
                    loaded.events = last.into_iter().collect();
                }
                let first = self.first_position(&subject, request, &head).await?;
                let has_more = loaded.has_more;
                return Ok(loaded.with_snapshot(snapshot).with_page(has_more, first));
            }
        }
        Err(changes_too_often())
    }

    /// The last message, and its head unless that cannot be read.
    pub(crate) async fn last_readable(&self, subject: &str) -> Result<Option<(Stored, Option<Head>)>> {
        let Some(last) = self.events.last(subject).await? else { return Ok(None) };
        match Chunk::read(last.sequence, &last.payload, &mut Names::default()) {
            Err(_) => Ok(Some((last, None))),
            Ok(chunk) if chunk.head.follow == 0 => Ok(Some((last, Some(chunk.head)))),
            Ok(_) => Ok(self.last(subject).await?.map(|(last, chunk)| (last, Some(chunk.head)))),
        }
    }

    /// The head of the newest message of a stream, up to a sequence, that can be read and holds events. Each is read: this is for a stream
    /// that is damaged.
    pub(crate) async fn newest_head(&self, subject: &str, up_to: u64) -> Result<Option<Head>> {
        let Some(last) = self.events.last(subject).await? else { return Ok(None) };
        let (mut walk, mut newest) = (Walk::new(subject, 1, last), None);
        loop {
            let page = walk.page(&self.events).await?;
            if page.is_empty() {
                return Ok(newest);
            }
            for message in page.into_iter().filter(|message| message.sequence <= up_to) {
                match Chunk::read(message.sequence, &message.payload, &mut Names::default()) {
                    Ok(chunk) if !is_alive(&chunk) => newest = None,
                    Ok(chunk) if has_events(&chunk.head) => newest = Some(chunk.head),
                    _ => {}
                }
            }
        }
    }

    /// What is wanted of a stream; `None` where it is another one by now.
    async fn read(
        &self,
        walk: &mut Walk<'_>,
        wanted: &Wanted<'_>,
        (last, end): (&Head, u64),
    ) -> Result<Option<LoadedStream>> {
        let (mut names, mut next, mut reached) = (Names::default(), None, 0);
        let mut room = wanted.request.limit.map(PageRoom::of);
        let mut loaded = LoadedStream::default();
        loop {
            let page = walk.page(&self.events).await?;
            if page.is_empty() {
                return Ok((reached == end).then_some(loaded));
            }
            for message in page {
                let first = reached == 0;
                reached = message.sequence;
                let chunk = match Chunk::read(reached, &message.payload, &mut names) {
                    Ok(chunk) => chunk,
                    Err(problem) => {
                        let lost = unreadable(reached, problem);
                        loaded.events.extend(Some(lost).filter(|lost| wants_lost(wanted.request.span, lost)));
                        next = None;
                        continue;
                    }
                };
                if !is_alive(&chunk) || chunk.head.life != last.life {
                    return Ok(None);
                }
                if first && wanted.begins_elsewhere(reached, &chunk) {
                    return Ok(Some(loaded));
                }
                // Messages that a replica lacks, or that are gone.
                let starts_late =
                    first && wanted.from == last.life.saturating_add(1) && chunk.head.first != 1;
                if starts_late || next.is_some_and(|next| next != chunk.head.first) {
                    return Ok(None);
                }
                next = Some(chunk.last_number().saturating_add(1));
                for event in wanted.of(chunk) {
                    if room.as_mut().is_some_and(|room| !room.take(&event)) {
                        return Ok(Some(loaded.with_page(true, None)));
                    }
                    loaded.events.push(event);
                }
            }
        }
    }

    /// Where the stream's first event stands, for who reads it in pages.
    async fn first_position(
        &self,
        subject: &str,
        request: &LoadRequest,
        head: &Head,
    ) -> Result<Option<Position>> {
        if request.limit.is_none() {
            return Ok(None);
        }
        let Some(first) = self.events.next(subject, head.life.saturating_add(1)).await? else {
            return Ok(None);
        };
        let chunk = Chunk::read(first.sequence, &first.payload, &mut Names::default());
        let position = chunk.ok().and_then(|chunk| chunk.events.first().map(|event| event.position));
        Ok(Some(position.unwrap_or_else(|| numbers::last_of(first.sequence))))
    }
}

/// Whether a stream has events by what its last message says.
fn has_events(head: &Head) -> bool {
    head.kind == Kind::Events || head.kind == Kind::Named && head.first > 1
}

/// Whether what stands for a message that cannot be read belongs to an answer. Its id may be any; but who asks for one wants no other.
fn wants_lost(span: Span, lost: &StoredEvent) -> bool {
    match span {
        Span::After(position) => lost.position > position,
        Span::Event(_) => false,
        _ => true,
    }
}

/// Of a stream of which no message can be read, nothing is told but that.
fn damaged(last: &Stored, span: Span) -> LoadedStream {
    let read = Chunk::read(last.sequence, &last.payload, &mut Names::default());
    let lost = read.err().map(|problem| unreadable(last.sequence, problem));
    let lost = lost.filter(|lost| wants_lost(span, lost));
    LoadedStream::new(lost.into_iter().collect()).with_page(false, Some(numbers::last_of(last.sequence)))
}

impl Wanted<'_> {
    /// Whether the event that it is to go on behind is not there.
    fn begins_elsewhere(&self, sequence: u64, chunk: &Chunk) -> bool {
        let Span::After(position) = self.request.span else { return false };
        sequence != numbers::of(position) || !chunk.events.iter().any(|event| event.position == position)
    }

    /// The events of a message that are wanted.
    fn of(&self, chunk: Chunk) -> impl Iterator<Item = StoredEvent> {
        let (span, behind) = (self.request.span, self.behind);
        let last = chunk.events.last().map(|event| event.position);
        chunk.events.into_iter().filter(move |event| match span {
            Span::Full => true,
            Span::FromSnapshot { .. } | Span::FromState { .. } => {
                event.version.is_none_or(|version| version > behind)
            }
            Span::Versions { start, stop } => {
                event.version.is_some_and(|version| (start..stop).contains(&version))
            }
            Span::After(position) => event.position > position,
            Span::Last => Some(event.position) == last,
            Span::Event(id) => event.id == id,
        })
    }
}
