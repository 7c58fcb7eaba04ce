//! Events below what has caused them.

use std::collections::{HashMap, HashSet};

use event_sourcery::look::Seen;
use event_sourcery::uuid::Uuid;

use crate::events::{cause_of, in_a_line};
use crate::failure::Failure;
use crate::output::{Output, safe};

/// How deep lines are indented at most.
const DEEPEST: usize = 40;

/// Events, each below its cause, if that is one of them.
pub(super) struct Tree<'a> {
    roots: Vec<&'a Seen>,
    below: HashMap<Uuid, Vec<&'a Seen>>,
}

impl<'a> Tree<'a> {
    /// These events, the causes before their effects.
    pub(super) fn of(events: impl Iterator<Item = &'a Seen>) -> Self {
        let (mut roots, mut below, mut ids) = (Vec::new(), HashMap::<_, Vec<_>>::new(), HashSet::new());
        for seen in events {
            // One that stands before its cause begins a tree of its own: so there are no circles.
            match cause_of(seen).filter(|cause| ids.contains(cause)) {
                Some(cause) => below.entry(cause).or_default().push(seen),
                None => roots.push(seen),
            }
            ids.insert(seen.uuid());
        }
        Self { roots, below }
    }

    /// Prints it, with a mark at the event that was asked about.
    pub(super) fn print(&self, asked: Option<Uuid>, out: &mut Output) -> Result<(), Failure> {
        let mut left: Vec<(usize, &Seen)> = self.roots.iter().rev().map(|root| (0, *root)).collect();
        while let Some((depth, seen)) = left.pop() {
            let mark = if asked == Some(seen.uuid()) { "> " } else { "  " };
            let indent = "   ".repeat(depth.saturating_sub(1).min(DEEPEST));
            let branch = if depth > 0 { "└─ " } else { "" };
            out.line(&format!("{mark}{indent}{branch}{}", safe(&in_a_line(seen), "")))?;
            let below = self.below.get(&seen.uuid()).map(Vec::as_slice).unwrap_or_default();
            left.extend(below.iter().rev().map(|effect| (depth + 1, *effect)));
        }
        Ok(())
    }
}
