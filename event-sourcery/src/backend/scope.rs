//! Which events a durable subscription is run for.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::reads::Filter;
use super::records::StoredEvent;
use crate::stream_id::{Category, StreamId, TenantId};
use crate::tag::Tag;

/// Which events a subscription, or a member of it, is run for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scope {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    names: Option<BTreeSet<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// An event has all of them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    tags: BTreeSet<String>,
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
            tags: filter.tags.iter().map(ToString::to_string).collect(),
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
            tags: self.tags.iter().map(|tag| Tag::stored(tag)).collect(),
        }
    }

    /// Whether an event is one of them. Of one that cannot be read, nobody can tell which tags it has, nor its name where that is lost.
    #[must_use]
    pub fn passes(&self, tenant: &TenantId, stream: &StreamId, event: &StoredEvent) -> bool {
        let has = |wanted: &String| event.tags.iter().any(|tag| tag.as_str() == wanted);
        let is_named = |names: &BTreeSet<String>| event.has_lost_its_name() || names.contains(&*event.name);
        self.names.as_ref().is_none_or(is_named)
            && (event.unreadable.is_some() || self.tags.iter().all(has))
            && self.category.as_deref().is_none_or(|wanted| wanted == stream.stored_category())
            && self.tenant.as_deref().is_none_or(|wanted| wanted == tenant.as_str())
    }

    /// Whether every event of the other is one of these.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let covers = |own: &Option<String>, others: &Option<String>| own.is_none() || own == others;
        covers(&self.category, &other.category)
            && covers(&self.tenant, &other.tenant)
            && self.tags.is_subset(&other.tags)
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

    /// Whether the two differ in names alone.
    fn is_about_the_streams_of(&self, other: &Self) -> bool {
        self.category == other.category && self.tenant == other.tenant && self.tags == other.tags
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

    /// The events that are of both.
    pub(super) fn both(&self, other: &Self) -> Self {
        let narrower = |own: &Option<String>, others: &Option<String>| own.clone().or_else(|| others.clone());
        let are_apart = |own: &Option<String>, others: &Option<String>| {
            own.as_ref().zip(others.as_ref()).is_some_and(|(own, other)| own != other)
        };
        let names = match (&self.names, &other.names) {
            _ if are_apart(&self.category, &other.category) || are_apart(&self.tenant, &other.tenant) => {
                Some(BTreeSet::new())
            }
            (Some(own), Some(others)) => Some(own & others),
            (own, others) => own.as_ref().or(others.as_ref()).cloned(),
        };
        let category = narrower(&self.category, &other.category);
        let tags = &self.tags | &other.tags;
        Self { names, category, tenant: narrower(&self.tenant, &other.tenant), tags }
    }

    /// Those of these that are not of the other: of some names, or all of these but those of the other.
    pub(super) fn beyond(&self, other: &Self) -> (Self, Option<Self>) {
        match self.names_beyond(other) {
            Some(names) => (Self { names: Some(names), ..self.clone() }, None),
            None => (self.clone(), Some(other.clone())),
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
        for (number, tag) in self.tags.iter().enumerate() {
            write!(f, "{}{tag}", if number == 0 { " with " } else { " and " })?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Scope {
        Scope { names: Some(names.iter().map(|name| (*name).to_owned()).collect()), ..Scope::default() }
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
    fn who_asks_for_more_tags_wants_fewer_events() {
        let tagged = |tags: &[&str]| Scope {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..named(&["A"])
        };
        let (one, both) = (tagged(&["c:1"]), tagged(&["c:1", "s:1"]));
        assert!(one.covers(&both) && !both.covers(&one) && !one.admits(&both));
        assert_eq!((one.with(&both), both.with(&one)), (None, Some(one.clone())));
        assert_eq!((one.names_beyond(&both), one.both(&tagged(&["s:1"]))), (None, both.clone()));
        assert_eq!(both.to_string(), "events named A with c:1 and s:1");
        assert_eq!(Scope::of(&both.filter()), both);
    }

    #[test]
    fn what_is_of_both_and_what_is_beyond() {
        let elsewhere = |names| Scope { category: Some("orders".to_owned()), ..named(names) };
        assert_eq!(named(&["A", "B"]).both(&named(&["B", "C"])), named(&["B"]));
        assert_eq!(named(&["A", "B"]).both(&elsewhere(&["B"])), elsewhere(&["B"]));
        assert_eq!(Scope::default().both(&named(&["A"])), named(&["A"]));
        let invoices = Scope { category: Some("invoices".to_owned()), ..Scope::default() };
        assert_eq!(invoices.both(&elsewhere(&["B"])).names().map(BTreeSet::len), Some(0));
        assert_eq!(named(&["A", "B"]).beyond(&named(&["B", "C"])), (named(&["A"]), None));
        assert_eq!(Scope::default().beyond(&named(&["B"])), (Scope::default(), Some(named(&["B"]))));
    }
}
