//! Tags: what an event is about, in whichever stream it stands.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, NameKind, NameProblem, QUOTED, Result};
use crate::limits;

/// The most tags of one event.
const MOST: usize = 64;

/// What an event is about, besides its stream: a name and a value, such as `course` and `c1`. Tags are a tenant's.
///
/// Written as `course:c1`, it has up to 255 characters and 850 bytes, and no NUL. Neither part is empty, and the name has no colon:
/// the same on every backend, checked here. Tags are never encrypted: keep what is personal out of them.
///
/// ```
/// use event_sourcery::Tag;
///
/// let tag = Tag::new("course", "c1")?;
/// assert_eq!((tag.name(), tag.value(), tag.as_str()), ("course", "c1", "course:c1"));
/// assert_eq!(Tag::new("seats", 20)?.value(), "20");
/// assert!(Tag::new("course", "").is_err());
/// # Ok::<(), event_sourcery::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

impl Tag {
    /// The tag of this name and this value, which is a text or a number, or whatever is written as one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] outside the limits.
    pub fn new(name: impl AsRef<str>, value: impl ToString) -> Result<Self> {
        let (name, value) = (name.as_ref(), value.to_string());
        let refused = |value: &str, problem| {
            let value = value.chars().take(QUOTED).collect();
            Err(Error::InvalidName { kind: NameKind::Tag, value, problem })
        };
        if name.contains(':') {
            return refused(name, NameProblem::Colon);
        }
        let tag = format!("{name}:{value}");
        if name.is_empty() || value.is_empty() {
            return refused(&tag, NameProblem::Empty);
        }
        limits::check_name(NameKind::Tag, &tag)?;
        Ok(Self(tag.into()))
    }

    /// See [`stored_tag`](crate::backend::stored_tag).
    pub(crate) fn stored(tag: &str) -> Self {
        Self(tag.into())
    }

    /// What kind of thing it is.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once(':').map_or(&*self.0, |(name, _)| name)
    }

    /// Which one.
    #[must_use]
    pub fn value(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, value)| value)
    }

    /// Both, with a colon between them: as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({:?})", self.0)
    }
}

/// The tags of an event, as they are collected: see [`Event::tags`](crate::Event::tags).
///
/// ```
/// use event_sourcery::Tags;
///
/// let mut tags = Tags::default();
/// tags.add("course", "c1");
/// tags.add("students", &["s1", "s2"]);
/// tags.add("teacher", &None::<u64>);
/// let tags: Vec<_> = tags.into_tags()?.iter().map(ToString::to_string).collect();
/// assert_eq!(tags, ["course:c1", "students:s1", "students:s2"]);
/// # Ok::<(), event_sourcery::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Tags {
    tags: Vec<Tag>,
    problem: Option<Error>,
}

impl Tags {
    /// A tag of this name, and this value in the form in which serde writes it: a text or a number. A list is a tag for each of its
    /// items, and `None` is none. What is refused is told by [`into_tags`](Self::into_tags).
    pub fn add<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        match serde_json::to_value(value) {
            Ok(Value::Array(items)) => items.iter().for_each(|item| self.add_value(name, item)),
            Ok(value) => self.add_value(name, &value),
            Err(_) => self.refuse(name),
        }
    }

    /// A tag that was made before.
    pub fn push(&mut self, tag: Tag) {
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
    }

    /// What was collected, each tag once, in order.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] for a tag outside the [limits](Tag), [`Error::InvalidOption`] for more than 64 of them, and for a value
    /// that is neither a text nor a number.
    pub fn into_tags(self) -> Result<Vec<Tag>> {
        let Self { mut tags, problem } = self;
        tags.sort_unstable();
        match problem {
            Some(problem) => Err(problem),
            None if tags.len() > MOST => {
                let count = tags.len();
                let problem = format!("an event has up to {MOST} of them, and this one has {count}");
                Err(Error::InvalidOption { option: "tags", problem })
            }
            None => Ok(tags),
        }
    }

    fn add_value(&mut self, name: &str, value: &Value) {
        let tag = match value {
            Value::Null => return,
            Value::String(text) => Tag::new(name, text),
            Value::Number(number) => Tag::new(name, number),
            _ => return self.refuse(name),
        };
        match tag {
            Ok(tag) => self.push(tag),
            Err(problem) => self.problem = self.problem.take().or(Some(problem)),
        }
    }

    fn refuse(&mut self, name: &str) {
        let name: String = name.chars().take(QUOTED).collect();
        let problem = format!("serde writes the value of {name:?} neither as a text nor as a number");
        self.problem = self.problem.take().or(Some(Error::InvalidOption { option: "tags", problem }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, value: &str) -> NameProblem {
        match Tag::new(name, value) {
            Err(Error::InvalidName { kind: NameKind::Tag, problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_tag_has_a_name_and_a_value_within_the_limits_of_names() {
        assert_eq!(Tag::new("course", "a:b").unwrap().value(), "a:b", "a value may have colons");
        assert_eq!(refused("cour:se", "c1"), NameProblem::Colon);
        assert_eq!(refused("", "c1"), NameProblem::Empty);
        assert_eq!(refused("course", ""), NameProblem::Empty);
        assert_eq!(refused("course", "a\0b"), NameProblem::Nul);
        assert!(Tag::new("c", "a".repeat(253)).is_ok());
        let too_many = NameProblem::TooManyCharacters { actual: 256, allowed: 255 };
        assert_eq!(refused("c", &"a".repeat(254)), too_many);
        let too_long = NameProblem::TooManyBytes { actual: 854, allowed: 850 };
        assert_eq!(refused("c", &"🧾".repeat(213)), too_long);
    }

    #[test]
    fn what_is_collected_is_told_once_and_what_cannot_be_a_tag_is_refused() {
        let collected = |collect: &dyn Fn(&mut Tags)| {
            let mut tags = Tags::default();
            collect(&mut tags);
            tags.into_tags()
        };
        let twice = collected(&|tags| {
            tags.add("seat", &7);
            tags.add("seat", "7");
        });
        assert_eq!(twice.unwrap(), [Tag::new("seat", 7).unwrap()]);
        let is_no_text = collected(&|tags| tags.add("seat", &true));
        assert!(matches!(is_no_text, Err(Error::InvalidOption { option: "tags", .. })), "{is_no_text:?}");
        let is_empty = collected(&|tags| tags.add("seat", ""));
        assert!(matches!(is_empty, Err(Error::InvalidName { problem: NameProblem::Empty, .. })));
        let numbers = |count: usize| collected(&|tags| tags.add("seat", &(0..count).collect::<Vec<_>>()));
        assert_eq!(numbers(MOST).unwrap().len(), MOST);
        assert!(matches!(numbers(MOST + 1), Err(Error::InvalidOption { option: "tags", .. })));
    }
}
