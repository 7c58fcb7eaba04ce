//! Queries: which events, in whichever stream they stand.

use std::fmt;
use std::sync::Arc;

use crate::event::Event;
use crate::tag::Tag;

/// Which events of a tenant, across its streams: those that match one of its items. Without items, none do.
///
/// ```
/// use event_sourcery::{Query, QueryItem, Tag};
///
/// let of_course = QueryItem::new().named("StudentSubscribed").tagged(Tag::new("course", "c1")?);
/// let query = Query::new([of_course, QueryItem::new().tagged(Tag::new("student", "s1")?)]);
///
/// assert!(query.matches("StudentSubscribed", &[Tag::new("course", "c1")?]));
/// assert!(!query.matches("CourseClosed", &[Tag::new("course", "c1")?]));
/// # Ok::<(), event_sourcery::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Arc<[QueryItem]>);

/// Events of one of its types, or of any if it names none, that have all of its tags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryItem {
    names: Vec<Arc<str>>,
    /// Whether a type was given that decodes every name: then no name is kept.
    takes_every_name: bool,
    tags: Vec<Tag>,
}

impl Query {
    /// The events that match one of these.
    #[must_use]
    pub fn new(items: impl IntoIterator<Item = QueryItem>) -> Self {
        Self(items.into_iter().collect())
    }

    /// Every event of the tenant. What it costs is told at [`QueryItem`].
    #[must_use]
    pub fn all() -> Self {
        Self::new([QueryItem::new()])
    }

    /// Its items.
    #[must_use]
    pub fn items(&self) -> &[QueryItem] {
        &self.0
    }

    /// Whether an event of this stored name, with these tags, matches.
    #[must_use]
    pub fn matches(&self, name: &str, tags: &[Tag]) -> bool {
        self.items().iter().any(|item| item.matches(name, tags))
    }
}

impl From<QueryItem> for Query {
    fn from(item: QueryItem) -> Self {
        Self::new([item])
    }
}

impl QueryItem {
    /// Every event.
    ///
    /// An item without tags is for rare use: to read it, a backend looks through its whole log. Give the events a tag of their own
    /// where that is too slow.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Events that `E` decodes too. A type with a catch-all decodes all, whatever else is named.
    #[must_use]
    pub fn of<E: Event>(mut self) -> Self {
        if E::CATCH_ALL {
            self.takes_every_name = true;
            self.names.clear();
        }
        E::NAMES.iter().fold(self, |item, name| item.named(*name))
    }

    /// Events of this stored name too.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        if !self.takes_every_name {
            self.names.push(name.into());
        }
        self
    }

    /// Only events that have this tag as well.
    #[must_use]
    pub fn tagged(mut self, tag: Tag) -> Self {
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
        self
    }

    /// The stored names, of which an event has one; none: any.
    #[must_use]
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The tags, of which an event has all.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// Whether an event of this stored name, with these tags, matches.
    #[must_use]
    pub fn matches(&self, name: &str, tags: &[Tag]) -> bool {
        let is_of = self.names.is_empty() || self.names.iter().any(|wanted| **wanted == *name);
        is_of && self.tags.iter().all(|tag| tags.contains(tag))
    }
}

/// For people, such as `StudentSubscribed with course:c1, or any event with student:s1`.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.items().is_empty() {
            return f.write_str("for no event");
        }
        for (number, item) in self.items().iter().enumerate() {
            write!(f, "{}{item}", if number == 0 { "" } else { ", or " })?;
        }
        Ok(())
    }
}

impl fmt::Display for QueryItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names.as_slice() {
            [] => f.write_str("any event")?,
            names => f.write_str(&names.join(" or "))?,
        }
        for (number, tag) in self.tags.iter().enumerate() {
            write!(f, "{}{tag}", if number == 0 { " with " } else { " and " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RawEvent;

    fn tag(value: &str) -> Tag {
        Tag::new("course", value).unwrap()
    }

    #[test]
    fn an_item_matches_one_of_its_names_and_all_of_its_tags_and_a_query_one_of_its_items() {
        let both = QueryItem::new().named("Opened").named("Closed").tagged(tag("a")).tagged(tag("b"));
        assert!(both.matches("Opened", &[tag("b"), tag("c"), tag("a")]));
        assert!(both.matches("Closed", &[tag("a"), tag("b")]));
        assert!(!both.matches("Moved", &[tag("a"), tag("b")]));
        assert!(!both.matches("Opened", &[tag("a")]));
        let query = Query::new([both.clone(), QueryItem::new().tagged(tag("c"))]);
        assert!(query.matches("Moved", &[tag("c")]) && !query.matches("Moved", &[tag("a")]));
        assert!(Query::all().matches("Moved", &[]) && !Query::new([]).matches("Moved", &[]));
        for catch_all in [
            QueryItem::new().of::<RawEvent>(),
            QueryItem::new().named("Opened").of::<RawEvent>(),
            QueryItem::new().of::<RawEvent>().named("Opened"),
        ] {
            assert!(catch_all.matches("Moved", &[]), "a catch-all decodes every name");
        }
        assert_eq!(
            query.to_string(),
            "Opened or Closed with course:a and course:b, or any event with course:c"
        );
    }
}
