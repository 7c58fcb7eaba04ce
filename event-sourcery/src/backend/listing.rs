//! Listings: their pages, and where these go on.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::looking::COUNTS_TO;
use crate::error::{Error, Result};
use crate::stream_id::TenantId;

/// Where a listing goes on: opaque, and good for the listing alone that has handed it out, whatever was written meanwhile. It can be
/// written and read back, as part of an address say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[non_exhaustive]
pub struct Mark(Vec<String>);

impl Mark {
    /// A mark of these parts.
    #[must_use]
    pub fn of<const N: usize>(parts: [&str; N]) -> Self {
        Self(parts.map(str::to_owned).to_vec())
    }

    /// A mark at a number, such as a position.
    #[must_use]
    pub fn at(number: i64) -> Self {
        Self(vec![number.to_string()])
    }

    /// Its parts.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] where it has others: it is one of another listing.
    pub fn parts<const N: usize>(&self) -> Result<[&str; N]> {
        let parts: Vec<&str> = self.0.iter().map(String::as_str).collect();
        parts.try_into().map_err(|_| Self::foreign())
    }

    /// The number that it is at.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] where it is at none: it is one of another listing.
    pub fn number(&self) -> Result<i64> {
        let [number] = self.parts()?;
        number.parse().map_err(|_| Self::foreign())
    }

    pub(super) fn foreign() -> Error {
        let problem =
            "this mark is none of this listing's: take one that a page of it has handed out".to_owned();
        Error::InvalidOption { option: "from", problem }
    }
}

/// A JSON array of its parts.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?)
    }
}

/// From what [`Display`](fmt::Display) writes. None holds a NUL, which PostgreSQL would take for a broken text.
impl FromStr for Mark {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<String> = serde_json::from_str(text).map_err(|_| Self::foreign())?;
        let has_nul = parts.iter().any(|part| part.contains('\0'));
        if has_nul { Err(Self::foreign()) } else { Ok(Self(parts)) }
    }
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Page<T> {
    /// What was found: perhaps nothing, although there may be more.
    pub items: Vec<T>,
    /// Where to go on; `None`: it was gone through to its end.
    pub next: Option<Mark>,
}

impl<T> Page<T> {
    /// These, and where to go on.
    #[must_use]
    pub const fn new(items: Vec<T>, next: Option<Mark>) -> Self {
        Self { items, next }
    }

    /// A page of at most this many items. One more item than that tells that there are more: then the next page goes on after the last
    /// item of this one.
    #[must_use]
    pub fn cut(mut items: Vec<T>, limit: usize, mark: impl FnOnce(&T) -> Mark) -> Self {
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(mark);
        Self { items, next }
    }

    /// The same page of something else.
    pub(crate) fn map<U>(self, to: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(to).collect(), next: self.next }
    }
}

/// What to list, of a tenant or of all.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListRequest {
    /// Only this tenant's; `None`: everybody's.
    pub tenant: Option<TenantId>,
    /// Where to go on; `None`: at the beginning.
    pub from: Option<Mark>,
    /// At most this many, at least 1.
    pub limit: usize,
}

impl ListRequest {
    /// The first items of all tenants, this many.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { tenant: None, from: None, limit }
    }

    /// Only this tenant's.
    #[must_use]
    pub fn with_tenant(self, tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), ..self }
    }

    /// From this mark on; `None`: from the beginning.
    #[must_use]
    pub fn with_from(self, from: Option<Mark>) -> Self {
        Self { from, ..self }
    }
}

/// A name, and how many there are of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counted {
    /// The name.
    pub name: Arc<str>,
    /// How many were counted.
    pub count: u64,
    /// Whether that is all of them; if not, there may be more.
    pub is_exact: bool,
}

impl Counted {
    /// So many of this name, whether that is all of them or not.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, count: u64, is_exact: bool) -> Self {
        Self { name: name.into(), count, is_exact }
    }

    /// The count of a name, after this many rows of it were looked at, one more than [`COUNTS_TO`] at most, of which this many count;
    /// `None` if there are none.
    #[must_use]
    pub fn of_looked_at(name: &str, looked_at: u64, counted: u64) -> Option<Self> {
        let is_exact = looked_at <= COUNTS_TO as u64;
        let is_none = is_exact && counted == 0;
        (!is_none).then(|| Self::new(name, counted.min(COUNTS_TO as u64), is_exact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_written_and_read_back_and_one_of_another_listing_is_refused() {
        let mark = Mark::of(["acme", "\"a\", b", ""]);
        assert_eq!(mark.to_string().parse::<Mark>().unwrap(), mark);
        assert_eq!(mark.parts::<3>().unwrap(), ["acme", "\"a\", b", ""]);
        assert_eq!(Mark::at(-7).number().unwrap(), -7);
        let read = |text: &str| text.parse::<Mark>().map(drop);
        for refused in
            [mark.number().map(drop), mark.parts::<2>().map(drop), read("[7]"), read(r#"["a\u0000"]"#)]
        {
            assert!(matches!(refused, Err(Error::InvalidOption { option: "from", .. })), "{refused:?}");
        }
    }
}
