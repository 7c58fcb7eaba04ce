//! Whether what is written is read: as it stands there, and as PostgreSQL's JSONB gives it back.
//!
//! Some of serde's forms buffer what they read (`tag`, `untagged`, `flatten`), and then take neither integer keys nor 128-bit
//! integers; and JSONB hands keys over in another order, so that serde may have to buffer more. None of this can be seen from
//! outside: the payload is read and written again, and compared.

use super::number;
use super::tree::{Node, Step};
use crate::error::PayloadError;

/// Reads a payload as the caller's type, and writes it again; or tells what reading ends with.
pub(super) type Again<'r> = &'r dyn Fn(&str) -> Result<String, String>;

/// How often a map's order is looked at where nothing can be added to it. A map that keeps none comes back in the same one by
/// chance.
const TIMES: usize = 16;

/// How much an error tells of another one.
const SHOWN_CHARACTERS: usize = 120;

const ELSE: &str = "it reads as something else than what was written";
const ORDER: &str = "PostgreSQL's JSONB does not keep the order of its keys, and the type does: write a list instead of a map";

/// Refuses a payload that its type could not read back equal. `maps` are those of its objects, by their number in the text,
/// whose order may mean something, in ascending order. In JSON that others wrote, a number is the same however it is written.
pub(super) fn check(
    text: &str,
    maps: &[u32],
    has_others_json: bool,
    again: Again<'_>,
) -> Result<(), PayloadError> {
    let same_number: fn(&str, &str) -> bool = if has_others_json { super::equal_json } else { same_number };
    let written = Node::parse(text)?;
    let read = again(text).map_err(|problem| refused(&[], &problem))?;
    let read = Node::parse(&read)?;
    if let Some(way) = written.differs(&read, same_kind) {
        return Err(refused(&way, ELSE));
    }
    let other = again(&written.as_jsonb()).map_err(|problem| in_jsonb(&[], &problem))?;
    let other = Node::parse(&other)?;
    if let Some(way) = read.differs(&other, same_number) {
        return Err(in_jsonb(&way, ELSE));
    }
    let mut look = Look { written: &written, read: &read, other: &other, maps, objects: 0, again };
    look.for_order(&written, &mut Vec::new()).map_or(Ok(()), |way| Err(refused(&way, ORDER)))
}

fn in_jsonb(way: &[Step], problem: &str) -> PayloadError {
    refused(way, &format!("PostgreSQL's JSONB sorts keys and writes numbers out, and then {problem}"))
}

fn refused(way: &[Step], problem: &str) -> PayloadError {
    let steps = way.iter().map(|step| match step {
        Step::Key(key) => super::shown(key),
        Step::Item(place) => place.to_string(),
    });
    let place = steps.collect::<Vec<_>>().join(".");
    PayloadError::NotReadBack { place, problem: problem.chars().take(SHOWN_CHARACTERS).collect() }
}

/// An integer stays one, and what is none stays none.
fn same_kind(ours: &str, theirs: &str) -> bool {
    let is_integer = |number: &str| !number.contains(['.', 'e', 'E']);
    is_integer(ours) == is_integer(theirs)
}

/// Digit by digit; in JSONB -0.0 is 0.0.
fn same_number(ours: &str, theirs: &str) -> bool {
    ours == theirs || (number::is_zero(ours) && number::is_zero(theirs) && same_kind(ours, theirs))
}

/// Looks for a map that keeps the order of its keys.
struct Look<'l, 't> {
    written: &'l Node<'t>,
    read: &'l Node<'t>,
    other: &'l Node<'t>,
    maps: &'l [u32],
    /// How many objects have been seen.
    objects: u32,
    again: Again<'l>,
}

impl Look<'_, '_> {
    fn for_order(&mut self, node: &Node<'_>, way: &mut Vec<Step>) -> Option<Vec<Step>> {
        match node {
            Node::Object(entries) => {
                let is_map = self.maps.binary_search(&self.objects).is_ok();
                self.objects += 1;
                if is_map && self.has_kept_order(node, way) && self.keeps_order(way) {
                    return Some(way.clone());
                }
                entries.iter().find_map(|(key, value)| self.within(Step::Key(key.clone()), value, way))
            }
            Node::List(items) => {
                items.iter().enumerate().find_map(|(place, item)| self.within(Step::Item(place), item, way))
            }
            _ => None,
        }
    }

    fn within(&mut self, step: Step, node: &Node<'_>, way: &mut Vec<Step>) -> Option<Vec<Step>> {
        way.push(step);
        let found = self.for_order(node, way);
        way.pop();
        found
    }

    /// Whether the object here was read as it was written, and in another order out of JSONB. Chance may have done that.
    fn has_kept_order(&self, node: &Node<'_>, way: &[Step]) -> bool {
        let (Some(read), Some(other)) = (self.read.at(way), self.other.at(way)) else { return false };
        node.keys().eq(read.keys()) && !read.keys().eq(other.keys())
    }

    /// Whether the object here comes back in the order it is given, with more keys than chance would order.
    fn keeps_order(&self, way: &[Step]) -> bool {
        let kept = [MORE_TEXTS, MORE_INTEGERS].iter().find_map(|more| {
            let enlarged = self.changed(way, |entries| {
                let Some((_, value)) = entries.last().cloned() else { return };
                for key in *more {
                    if entries.iter().all(|(known, _)| known != key) {
                        entries.push(((*key).to_owned(), value.clone()));
                    }
                }
            });
            self.comes_back(&enlarged, way)
        });
        kept.unwrap_or_else(|| {
            let reversed = self.changed(way, |entries| entries.reverse());
            let come_back = |node: &Node<'_>| self.comes_back(node, way).unwrap_or(false);
            (0..TIMES).all(|_| come_back(self.written) && come_back(&reversed))
        })
    }

    /// The payload with another object here.
    fn changed<'s>(&'s self, way: &[Step], change: impl Fn(&mut Vec<(String, Node<'s>)>)) -> Node<'s> {
        let mut changed = self.written.clone();
        if let Some(Node::Object(entries)) = changed.at_mut(way) {
            change(entries);
        }
        changed
    }

    /// Whether the object here comes back in its order; `None` where the payload is not taken.
    fn comes_back(&self, node: &Node<'_>, way: &[Step]) -> Option<bool> {
        let back = (self.again)(&node.verbatim()).ok()?;
        let back = Node::parse(&back).ok()?;
        Some(node.at(way)?.keys().eq(back.at(way)?.keys()))
    }
}

/// Keys in no order that a map could have by itself.
const MORE_TEXTS: &[&str] = &["q", "d", "zz", "a", "mo", "b", "y", "cab", "k", "e", "ww", "f"];
const MORE_INTEGERS: &[&str] = &["77", "3", "100", "12", "5", "101", "8", "44", "19", "2", "120", "31"];
