//! Which events a durable subscription is run for, as it is kept beside its checkpoints.
//!
//! A checkpoint alone tells how far somebody has read, and not what he looked for. So the names, category and tenant that it
//! was read for are kept with it: whoever asks for more finds that it was passed, and whoever knows less does not pass it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::reads::Filter;
use crate::position::Position;
use crate::stream_id::{Category, StreamId, TenantId};

/// Which events a subscription, or a member of it, is run for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scope {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    names: Option<BTreeSet<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
}

impl Scope {
    /// The events that pass a filter, in whatever segment.
    #[must_use]
    pub fn of(filter: &Filter) -> Self {
        let names = filter.names.as_ref();
        Self {
            names: names.map(|names| names.iter().map(|name| name.to_string()).collect()),
            category: filter.category.as_ref().map(|category| category.as_str().to_owned()),
            tenant: filter.tenant.as_ref().map(|tenant| tenant.as_str().to_owned()),
        }
    }

    /// The filter that these events pass.
    pub(crate) fn filter(&self) -> Filter {
        let names = self.names.as_ref();
        Filter {
            names: names.map(|names| names.iter().map(|name| name.as_str().into()).collect()),
            category: self.category.as_deref().and_then(|category| Category::new(category).ok()),
            tenant: self.tenant.as_deref().map(TenantId::stored),
            segments: None,
        }
    }

    /// Whether an event is one of them.
    #[must_use]
    pub fn passes(&self, tenant: &TenantId, stream: &StreamId, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.contains(name))
            && self.category.as_deref().is_none_or(|wanted| wanted == stream.stored_category())
            && self.tenant.as_deref().is_none_or(|wanted| wanted == tenant.as_str())
    }

    /// Whether every event of the other is one of these.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let covers = |own: &Option<String>, others: &Option<String>| own.is_none() || own == others;
        covers(&self.category, &other.category)
            && covers(&self.tenant, &other.tenant)
            && match (&self.names, &other.names) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(own), Some(others)) => own.is_superset(others),
            }
    }

    /// Whether who is run for the other can work on these: for the same streams, and it tells by the name which events it
    /// does not know.
    pub(crate) fn admits(&self, member: &Self) -> bool {
        self == member
            || self.is_about_the_streams_of(member) && member.names.is_some() && {
                self.names.is_some() && self.covers(member)
            }
    }

    fn is_about_the_streams_of(&self, other: &Self) -> bool {
        self.category == other.category && self.tenant == other.tenant
    }

    /// What a subscription is run for once the other joins it; `None` where the two are about different events altogether.
    pub(crate) fn with(&self, other: &Self) -> Option<Self> {
        if other.covers(self) {
            return Some(other.clone());
        }
        match (&self.names, &other.names) {
            (Some(own), Some(others)) if self.is_about_the_streams_of(other) => {
                Some(Self { names: Some(own | others), ..self.clone() })
            }
            _ => None,
        }
    }

    /// The names of these that the other has not got.
    pub(crate) fn names_beyond(&self, other: &Self) -> Option<BTreeSet<String>> {
        match (&self.names, &other.names) {
            (Some(own), Some(others)) if self.is_about_the_streams_of(other) => Some(own - others),
            _ => None,
        }
    }

    /// The names, unless all are meant.
    pub(crate) const fn names(&self) -> Option<&BTreeSet<String>> {
        self.names.as_ref()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.names {
            None => f.write_str("every event")?,
            Some(names) => {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                write!(f, "events named {}", names.join(", "))?;
            }
        }
        if let Some(category) = &self.category {
            write!(f, " of the category {category}")?;
        }
        match self.tenant.as_deref() {
            None => Ok(()),
            Some("") => f.write_str(" without a tenant"),
            Some(tenant) => write!(f, " of the tenant {tenant}"),
        }
    }
}

/// What is kept of a subscription beside its checkpoints and members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// A checkpoint says that every one of these up to it was handled.
    scope: Scope,
    /// Where it began: what lies before is nobody's concern.
    began: Position,
    /// What was handled above the checkpoints: they were moved back, to hand over what had been passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    handled: Vec<Handled>,
    /// What was there, above where it began, when it began: from the first position to the last. It is not handed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    present: Vec<(Position, Position)>,
}

/// What was handled, up to a position in each segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Handled {
    scope: Scope,
    up_to: Vec<Position>,
}

impl Kept {
    /// What a subscription keeps that begins there. Of what was committed above that position already, `present` has the
    /// stretches.
    #[must_use]
    pub const fn new(scope: Scope, began: Position, present: Vec<(Position, Position)>) -> Self {
        Self { scope, began, handled: Vec::new(), present }
    }

    /// What is kept, as text for a backend to store.
    ///
    /// # Errors
    ///
    /// Those of JSON, which there are none of.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// What a backend has stored.
    ///
    /// # Errors
    ///
    /// Where the text is none of ours.
    pub fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    pub(crate) const fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) const fn began(&self) -> Position {
        self.began
    }

    /// Whether what stands at this position was there before it began.
    pub(crate) fn was_present(&self, position: Position) -> bool {
        let behind = self.present.partition_point(|(first, _)| *first <= position);
        behind.checked_sub(1).and_then(|at| self.present.get(at)).is_some_and(|(_, last)| position <= *last)
    }

    /// Whether an event was handled, or left to a stream that waits, before the checkpoint of its segment was moved back.
    pub(crate) fn was_handled(
        &self,
        segment: u16,
        position: Position,
        tenant: &TenantId,
        stream: &StreamId,
        name: &str,
    ) -> bool {
        let up_to = |handled: &Handled| handled.up_to.get(usize::from(segment)).copied();
        let mut before =
            self.handled.iter().filter(|handled| up_to(handled).is_some_and(|up_to| position <= up_to));
        before.any(|handled| handled.scope.passes(tenant, stream, name))
    }

    /// Where the checkpoint of a segment was before it was moved back.
    pub(crate) fn handled_up_to(&self, segment: u16) -> Position {
        let up_to = self.handled.iter().filter_map(|handled| handled.up_to.get(usize::from(segment)));
        up_to.copied().max().unwrap_or(Position::START)
    }

    /// What was handled above a position in a segment, as stretches behind which something else goes on.
    pub(crate) fn handled_above(
        &self,
        segment: u16,
        position: Position,
    ) -> Vec<(&Scope, Position, Position)> {
        let (mut after, mut stretches) = (position, Vec::new());
        for handled in self.handled.iter().rev() {
            let Some(up_to) = handled.up_to.get(usize::from(segment)).filter(|up_to| **up_to > after) else {
                continue;
            };
            stretches.push((&handled.scope, after, *up_to));
            after = *up_to;
        }
        stretches
    }

    /// It is run for other events from here on. What of them was passed above `after` is handed over: returns where the
    /// checkpoints are to be.
    pub(super) fn change(
        &mut self,
        to: Scope,
        after: Option<Position>,
        checkpoints: &[Position],
    ) -> Vec<Position> {
        let was = std::mem::replace(&mut self.scope, to);
        let Some(after) = after else { return checkpoints.to_vec() };
        self.handled.retain(|handled| handled.up_to.iter().zip(checkpoints).any(|(up_to, at)| up_to > at));
        if checkpoints.iter().any(|checkpoint| *checkpoint > after) {
            let passed = |at: &Position| if *at > after { *at } else { Position::START };
            self.handled.push(Handled { scope: was, up_to: checkpoints.iter().map(passed).collect() });
        }
        checkpoints.iter().map(|checkpoint| (*checkpoint).min(after)).collect()
    }

    /// It begins anew there.
    pub(super) fn begin(&mut self, position: Position, present: Vec<(Position, Position)>) {
        (self.began, self.present, self.handled) = (position, present, Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Scope {
        Scope { names: Some(names.iter().map(|name| (*name).to_owned()).collect()), ..Scope::default() }
    }

    fn at(position: i64) -> Position {
        Position::from_i64(position)
    }

    #[test]
    fn who_knows_fewer_names_of_the_same_streams_is_let_in_and_nobody_else() {
        let both = named(&["A", "B"]);
        assert!(both.admits(&both) && both.admits(&named(&["A"])));
        let elsewhere = Scope { category: Some("orders".to_owned()), ..named(&["A"]) };
        for other in [named(&["A", "C"]), Scope::default(), elsewhere.clone()] {
            assert!(!both.admits(&other), "{other}");
        }
        assert!(Scope::default().admits(&Scope::default()));
        assert!(!Scope::default().admits(&named(&["A"])) && !Scope::default().admits(&elsewhere));
    }

    #[test]
    fn two_that_want_different_events_of_the_same_streams_want_them_together() {
        assert_eq!(named(&["A", "B"]).with(&named(&["A", "C"])), Some(named(&["A", "B", "C"])));
        assert_eq!(named(&["A"]).with(&Scope::default()), Some(Scope::default()));
        let elsewhere = Scope { category: Some("orders".to_owned()), ..named(&["A"]) };
        assert_eq!(named(&["A"]).with(&elsewhere), None);
        assert_eq!(elsewhere.with(&named(&["A"])), Some(named(&["A"])));
    }

    #[test]
    fn what_was_there_is_told_by_its_stretches() {
        let kept = Kept::new(Scope::default(), at(8), vec![(at(10), at(12)), (at(15), at(15))]);
        let present = (8..17).filter(|position| kept.was_present(at(*position))).collect::<Vec<_>>();
        assert_eq!(present, [10, 11, 12, 15]);
        assert_eq!(Kept::from_text(&kept.to_text().unwrap()).unwrap(), kept);
    }

    #[test]
    fn a_wider_scope_moves_the_checkpoints_back_and_notes_what_was_handled() {
        let mut kept = Kept::new(named(&["A"]), at(0), Vec::new());
        assert_eq!(kept.change(named(&["A", "B"]), Some(at(4)), &[at(9), at(3)]), [at(4), at(3)]);
        let stream = StreamId::random();
        let handled = |position, name| kept.was_handled(0, at(position), &TenantId::DEFAULT, &stream, name);
        assert!(handled(9, "A") && !handled(10, "A") && !handled(7, "B"));
        assert!(!kept.was_handled(1, at(3), &TenantId::DEFAULT, &stream, "A"));
        assert_eq!(kept.handled_up_to(0), at(9));
        assert_eq!(Kept::from_text(&kept.to_text().unwrap()).unwrap(), kept);
    }
}
