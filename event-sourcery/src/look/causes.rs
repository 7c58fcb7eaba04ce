//! What an event has caused.

use std::collections::HashSet;

use uuid::Uuid;

use super::{Look, MOST, Mark, Seen};
use crate::backend::EventsRequest;
use crate::error::Result;

/// How many events a tree has at most beside its root.
const IN_A_TREE: usize = 256;

/// How many pages a call reads at most.
const PAGES: usize = 16;

/// An event, and what it has caused: directly, or through what it has caused.
#[derive(Debug, Clone)]
pub struct Causes {
    root: Seen,
    caused: Vec<Seen>,
    next: Option<Mark>,
}

impl Causes {
    /// The event that it is about.
    #[must_use]
    pub const fn root(&self) -> &Seen {
        &self.root
    }

    /// Everything that it has caused, as far as that was found, in the order of positions: a cause stands before its effects.
    #[must_use]
    pub fn all(&self) -> &[Seen] {
        &self.caused
    }

    /// What this event has caused directly: a branch of the tree.
    pub fn of(&self, event: Uuid) -> impl Iterator<Item = &Seen> {
        self.caused.iter().filter(move |seen| seen.cause() == Some(event))
    }

    /// Whether the store was looked through to its end. If not, [`find_more`](Look::find_more) goes on, unless 256 events were found:
    /// that is where a tree ends.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.next.is_none()
    }
}

impl Look<'_> {
    /// What an event has caused, by the causation ids that [handlers](crate::EventStore::caused_by) leave: a tree; `None` where this
    /// handle sees no event of this id. It is looked for from the event on, in at most 16 pages of
    /// [`LOOKS_AT`](super::LOOKS_AT) events: no index has it.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Look::streams).
    ///
    /// ```
    /// # use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// # let (order, invoice) = (StreamId::random(), StreamId::random());
    /// # store.append(&order, RawEvent::new("Ordered", "{}")?).await?;
    /// let ordered = &store.load_stream::<RawEvent>(&order).await?[0];
    /// store.caused_by(ordered).append(&invoice, RawEvent::new("Issued", "{}")?).await?;
    ///
    /// let causes = store.look().caused_by(ordered.uuid).await?.expect("the event is there");
    /// let names: Vec<_> = causes.of(ordered.uuid).map(|event| event.name()).collect();
    /// assert_eq!((names, causes.is_whole()), (vec!["Issued"], true));
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    pub async fn caused_by(&self, event: Uuid) -> Result<Option<Causes>> {
        let Some(root) = self.event(event).await? else { return Ok(None) };
        let next = Some(Mark::at(root.position().to_i64()));
        let mut causes = Causes { root, caused: Vec::new(), next };
        self.find_more(&mut causes).await?;
        Ok(Some(causes))
    }

    /// Looks on for what an event has caused, in as many pages again.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Look::streams). What was found before stays.
    pub async fn find_more(&self, causes: &mut Causes) -> Result<()> {
        let mut ids: HashSet<Uuid> = causes.caused.iter().map(Seen::uuid).collect();
        ids.insert(causes.root.uuid());
        for _ in 0..PAGES {
            let Some(from) = causes.next.clone().filter(|_| causes.caused.len() < IN_A_TREE) else {
                return Ok(());
            };
            let related_to: Vec<Uuid> = ids.iter().copied().collect();
            let request = EventsRequest::first(MOST).with_related_to(related_to).with_from(Some(from));
            let page = self.events(request).await?;
            let mut first_new = None;
            for seen in page.items {
                if seen.cause().is_some_and(|cause| ids.contains(&cause)) && ids.insert(seen.uuid()) {
                    first_new = first_new.or(Some(seen.position()));
                    causes.caused.push(seen);
                }
            }
            // What a new one has caused was not asked for: it stands behind that one.
            causes.next = first_new.map(|first| Mark::at(first.to_i64())).or(page.next);
            causes.caused.sort_by_key(Seen::position);
        }
        Ok(())
    }
}
