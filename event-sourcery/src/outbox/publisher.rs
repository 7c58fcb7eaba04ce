//! What publishes, and what it is handed.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Source;
use crate::event::RawEvent;
use crate::wrapped_event::Recorded;

/// A future behind a pointer, so that a trait object can return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One entry, as it is published.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEntry {
    recorded: Recorded<RawEvent>,
    attempt: u32,
}

impl OutboxEntry {
    /// An entry as a test of a publisher needs it: this event, tried for the so-many-th time, from 1.
    ///
    /// ```
    /// use event_sourcery::outbox::OutboxEntry;
    /// use event_sourcery::{Position, RawEvent, Recorded, StreamId, WrappedEvent};
    ///
    /// let paid = WrappedEvent::new(RawEvent::new("Paid", "{}")?).with_version(1);
    /// let entry = OutboxEntry::new(Recorded::new(paid, StreamId::random(), Position::from_i64(7)), 1);
    /// assert_eq!(entry.recorded().event().name(), "Paid");
    /// # Ok::<(), event_sourcery::Error>(())
    /// ```
    #[must_use]
    pub const fn new(recorded: Recorded<RawEvent>, attempt: u32) -> Self {
        Self { recorded, attempt }
    }

    /// The whole record: the event, undecoded, with its id, time, context and version; its stream's id, with name and category
    /// where it has them; tenant; and position. It is the same however often the entry is published.
    #[must_use]
    pub const fn recorded(&self) -> &Recorded<RawEvent> {
        &self.recorded
    }

    /// Which attempt this is, from 1. A publication whose outcome is not known (the process was killed) is not counted.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// Publishes entries: to a broker, to an address, to a file.
///
/// An entry may come again: after an attempt that failed, and where a process was killed, or held up for longer than its lease,
/// before it could take down that the entry was published. The event's id is the same then, and tells the repeat.
///
/// ```
/// use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
///
/// struct Printer;
///
/// impl Publisher for Printer {
///     fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
///         Box::pin(async move {
///             let print = |entry: &OutboxEntry| println!("{}", entry.recorded().event().name());
///             entries.iter().map(|entry| Ok(print(entry))).collect()
///         })
///     }
/// }
/// ```
pub trait Publisher: Send + Sync {
    /// How many entries it takes at once; 1 by default.
    fn batch(&self) -> usize {
        1
    }

    /// Publishes these, in the order given. The answer has one result for each entry, in their order; one that is missing counts
    /// as [`PublishError::not_tried`].
    ///
    /// Entries of one stream are in their order. One that stands behind a failed one of the same stream must not be published:
    /// it answers [`PublishError::not_tried`]. It is all right to stop altogether at a failure, and to answer so for all the rest.
    ///
    /// `Ok` says that whoever it was handed to has it and will keep it: the entry is taken out of the outbox. If that is not
    /// known (an answer that did not come in time), answer an error. A call that does not return holds up its worker's share of
    /// the outbox: have a time limit of your own.
    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>>;
}

impl<P: Publisher + ?Sized> Publisher for &P {
    fn batch(&self) -> usize {
        (**self).batch()
    }

    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        (**self).publish(entries)
    }
}

impl<P: Publisher + ?Sized> Publisher for Arc<P> {
    fn batch(&self) -> usize {
        (**self).batch()
    }

    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        (**self).publish(entries)
    }
}

/// Why an entry was not published.
#[derive(Debug)]
pub struct PublishError {
    why: Why,
    source: Option<Source>,
    retry_after: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Refused,
    Away,
    NotTried,
}

impl PublishError {
    /// This message was not taken: too large, of a form that is not known, for nobody. It counts an attempt, and after the last one
    /// the entry is parked. Later entries of its stream wait; other streams go on.
    #[must_use]
    pub fn refused(source: impl Into<Source>) -> Self {
        Self { why: Why::Refused, source: Some(source.into()), retry_after: None }
    }

    /// Nothing is wrong with the entry: whoever takes it is away, or takes nothing for now. It counts no attempt. Everything
    /// waits, and is tried again after pauses that grow.
    #[must_use]
    pub fn away(source: impl Into<Source>) -> Self {
        Self { why: Why::Away, source: Some(source.into()), retry_after: None }
    }

    /// It was not tried, because another one has failed before it. It counts no attempt.
    #[must_use]
    pub const fn not_tried() -> Self {
        Self { why: Why::NotTried, source: None, retry_after: None }
    }

    /// The same, not to be tried again before so long, as the other end has asked for. At most an hour of it counts.
    #[must_use]
    pub fn with_retry_after(self, pause: Duration) -> Self {
        Self { retry_after: Some(pause), ..self }
    }

    /// Whether this message was not taken, and another one might be.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.why == Why::Refused
    }

    /// Whether nothing is wrong with the entry.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.why == Why::Away
    }

    /// Whether it was not tried.
    #[must_use]
    pub fn is_not_tried(&self) -> bool {
        self.why == Why::NotTried
    }

    /// How long to wait at least, if the other end has said so.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.why {
            Why::Refused => "the message was not taken",
            Why::Away => "nobody takes messages for now",
            Why::NotTried => "it was not tried: another one has failed before it",
        })
    }
}

impl StdError for PublishError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
