//! What may be wrong with boundaries. The writers act as if the store had the fault, and take down what a sound one would have done.

use event_sourcery::{Query, QueryItem, RawEvent, Recorded};

use super::happened::Sent;

/// Something that a store may do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No boundary is looked at.
    Ignores,
    /// None is whose query has an item without tags.
    IgnoresItemsWithoutTags,
    /// Only the first item of a query is looked at.
    FirstItemOnly,
    /// What was committed up to the moment of the append counts as seen.
    ReadsAgain,
    /// What was appended without a boundary moves none.
    OverlooksPlainAppends,
    /// What shares no tag with what is being written moves none: who asks for one tag and writes another is not held up.
    OverlooksOtherTags,
    /// Deleting moves none.
    OverlooksDeletions,
    /// An event of another type moves it, too.
    IsTooCoarse,
    /// What a transaction wrote that failed stays.
    KeepsWhatWasRolledBack,
    /// Of an event's tags, the last is not stored.
    LosesATag,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Ignores,
        Self::IgnoresItemsWithoutTags,
        Self::FirstItemOnly,
        Self::ReadsAgain,
        Self::OverlooksPlainAppends,
        Self::OverlooksOtherTags,
        Self::OverlooksDeletions,
        Self::IsTooCoarse,
        Self::KeepsWhatWasRolledBack,
        Self::LosesATag,
    ];

    /// What the store looks at instead of this query.
    pub(super) fn asks_for(self, query: &Query) -> Query {
        match self {
            Self::FirstItemOnly => Query::new(query.items().first().cloned()),
            Self::IsTooCoarse => Query::new(query.items().iter().map(without_names)),
            _ => query.clone(),
        }
    }

    /// Whether the store looks at no boundary of this query.
    pub(super) fn ignores(self, query: &Query) -> bool {
        let has_no_tags = || query.items().iter().any(|item| item.tags().is_empty());
        self == Self::Ignores || self == Self::IgnoresItemsWithoutTags && has_no_tags()
    }

    /// Whether it may overlook something that was committed since the read.
    pub(super) const fn overlooks_some(self) -> bool {
        matches!(
            self,
            Self::ReadsAgain
                | Self::OverlooksPlainAppends
                | Self::OverlooksOtherTags
                | Self::OverlooksDeletions
        )
    }

    /// Whether it overlooks this event, in favour of an append of those.
    pub(super) fn overlooks(self, event: &Recorded<RawEvent>, own: &[Sent]) -> bool {
        let tags = &event.wrapped_event.tags;
        match self {
            Self::ReadsAgain => true,
            Self::OverlooksPlainAppends => event.event().data().get().contains("plain"),
            Self::OverlooksOtherTags => !own.iter().any(|own| own.tags.iter().any(|tag| tags.contains(tag))),
            _ => false,
        }
    }
}

fn without_names(item: &QueryItem) -> QueryItem {
    item.tags().iter().cloned().fold(QueryItem::new(), QueryItem::tagged)
}
