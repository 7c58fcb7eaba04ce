//! What a durable subscription keeps beside its checkpoints.
//!
//! A checkpoint alone tells how far somebody has read, and not what he looked for. So the names, category, tenant and tags that it
//! was read for are kept with it: whoever asks for more finds that it was passed, and whoever knows less does not pass it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::progress::BlockedStream;
use super::records::StoredEvent;
use super::scope::Scope;
use crate::position::Position;
use crate::stream_id::{StreamId, TenantId};

/// How many streams that wait are known by themselves, where names are dropped. Of more, it counts what stands before them in their
/// segments.
const KNOWN: usize = 256;

/// What is kept of a subscription beside its checkpoints and members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// A checkpoint says that every one of these up to it was handled.
    scope: Scope,
    /// Where it began: what lies before is nobody's concern.
    began: Position,
    /// What was handled above the checkpoints: they were moved back, to hand over what had been passed. And what it was run for
    /// before it was run for fewer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    handled: Vec<Handled>,
    /// What had been passed unasked when it was asked for, and is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOut>,
    /// What was there, above where it began, when it began: from the first position to the last. It is not handed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    present: Vec<(Position, Position)>,
}

/// What was handled, up to a position in each segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Handled {
    scope: Scope,
    up_to: Vec<Position>,
    /// Streams that waited then for events which it was run for no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Waited>,
}

/// A stream that waited, and up to where it was handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Waited {
    stream: Uuid,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    category: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    tenant: String,
    up_to: Position,
}

/// What is left out, up to a position in each segment: these events, but for those.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LeftOut {
    scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    but: Option<Scope>,
    up_to: Vec<Position>,
}

impl Waited {
    fn of(blocked: &BlockedStream) -> Self {
        Self {
            stream: blocked.stream.uuid(),
            category: blocked.stream.stored_category().to_owned(),
            tenant: blocked.tenant.as_str().to_owned(),
            up_to: blocked.after.min(blocked.position.previous()),
        }
    }

    fn is(&self, tenant: &TenantId, stream: &StreamId) -> bool {
        self.stream == stream.uuid()
            && self.category == stream.stored_category()
            && self.tenant == tenant.as_str()
    }
}

impl Handled {
    /// Whether all of it is of the other too, and handled as far there.
    fn is_within(&self, other: &Self) -> bool {
        other.scope.covers(&self.scope) && reaches(&other.up_to, &self.up_to)
    }

    fn contains(&self, segment: u16, position: Position, (tenant, stream): (&TenantId, &StreamId)) -> bool {
        is_up_to(&self.up_to, segment, position)
            && !self.waiting.iter().any(|one| position > one.up_to && one.is(tenant, stream))
    }
}

/// Whether a position in a segment is not above these.
fn is_up_to(up_to: &[Position], segment: u16, position: Position) -> bool {
    up_to.get(usize::from(segment)).is_some_and(|last| position <= *last)
}

/// Whether these are nowhere behind the others.
fn reaches(up_to: &[Position], others: &[Position]) -> bool {
    up_to.iter().zip(others).all(|(one, other)| one >= other)
}

impl Kept {
    /// What a subscription keeps that begins there. Of what was committed above that position already, `present` has the
    /// stretches.
    #[must_use]
    pub const fn new(scope: Scope, began: Position, present: Vec<(Position, Position)>) -> Self {
        Self { scope, began, handled: Vec::new(), left_out: Vec::new(), present }
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
        tenant: &TenantId,
        stream: &StreamId,
        event: &StoredEvent,
    ) -> bool {
        let of = (tenant, stream);
        let mut before = self.handled.iter().filter(|handled| handled.contains(segment, event.position, of));
        before.any(|handled| handled.scope.passes(tenant, stream, event))
    }

    /// Whether an event had been passed when it was first asked for, and is left out.
    pub(crate) fn was_left_out(
        &self,
        segment: u16,
        tenant: &TenantId,
        stream: &StreamId,
        event: &StoredEvent,
    ) -> bool {
        let mut left_out = self.left_out.iter().filter(|left| is_up_to(&left.up_to, segment, event.position));
        left_out.any(|left| {
            left.scope.passes(tenant, stream, event)
                && !left.but.as_ref().is_some_and(|but| but.passes(tenant, stream, event))
        })
    }

    /// Where the checkpoint of a segment was before it was moved back.
    pub(crate) fn handled_up_to(&self, segment: u16) -> Position {
        let up_to = self.handled.iter().filter_map(|handled| handled.up_to.get(usize::from(segment)));
        up_to.copied().max().unwrap_or(Position::START)
    }

    /// What of it was handled above a position in a segment, as stretches behind which something else goes on.
    pub(crate) fn handled_above(&self, segment: u16, position: Position) -> Vec<(Scope, Position, Position)> {
        let up_to = |handled: &Handled| handled.up_to.get(usize::from(segment)).copied();
        let mut all: Vec<_> =
            self.handled.iter().filter_map(|handled| Some((&handled.scope, up_to(handled)?))).collect();
        all.sort_by_key(|(_, up_to)| *up_to);
        let (mut after, mut stretches) = (position, Vec::new());
        for (number, (scope, up_to)) in all.iter().enumerate().filter(|(_, (_, up_to))| *up_to > position) {
            if *up_to > after {
                let further = all.iter().skip(number + 1);
                let scope = further.fold((*scope).clone(), |all, (scope, _)| all.with(scope).unwrap_or(all));
                stretches.push((scope.both(&self.scope), after, *up_to));
                after = *up_to;
            }
        }
        stretches
    }

    /// It is run for other events from here on. What of them was passed above `after` is handed over, or left out: returns where
    /// the checkpoints are to be. Where names are dropped, `found` and `waiting` tell what was handled of them: these were the
    /// checkpoints, and after that these streams waited.
    pub(super) fn change(
        &mut self,
        to: Scope,
        after: Option<Position>,
        (found, waiting): (&[Position], &[BlockedStream]),
        checkpoints: &[Position],
    ) -> Vec<Position> {
        let was = std::mem::replace(&mut self.scope, to);
        if after.is_none() && !was.covers(&self.scope) {
            self.leave_out(&was, checkpoints);
        }
        if let Some(after) = after.filter(|after| checkpoints.iter().any(|at| at > after)) {
            let passed = |at: &Position| if *at > after { *at } else { Position::START };
            let up_to = checkpoints.iter().map(passed).collect();
            self.handled.push(Handled { scope: was.both(&self.scope), up_to, waiting: Vec::new() });
        }
        if !self.scope.covers(&was) {
            self.drop_names(was, checkpoints, found, waiting);
        }
        let Some(after) = after else { return checkpoints.to_vec() };
        let moved: Vec<_> = checkpoints.iter().map(|checkpoint| (*checkpoint).min(after)).collect();
        let scope = &self.scope;
        // What others will ask for again counts too.
        self.handled.retain(|handled| !reaches(&moved, &handled.up_to) || !scope.covers(&handled.scope));
        moved
    }

    /// What of the new scope was passed so far is left out.
    fn leave_out(&mut self, was: &Scope, checkpoints: &[Position]) {
        let (scope, but) = self.scope.beyond(was);
        let up_to =
            (0..).zip(checkpoints).map(|(segment, at)| self.handled_up_to(segment).max(*at)).collect();
        let left = LeftOut { scope, but, up_to };
        self.left_out.retain(|other| {
            !(left.scope.covers(&other.scope) && left.but == other.but && reaches(&left.up_to, &other.up_to))
        });
        self.left_out.push(left);
    }

    /// What was handled of the names that are dropped is not handed over to who asks for them again.
    fn drop_names(
        &mut self,
        was: Scope,
        checkpoints: &[Position],
        found: &[Position],
        waiting: &[BlockedStream],
    ) {
        // A checkpoint that was not found tells nothing: others may wait since.
        let of_found = |(number, at): (usize, &Position)| {
            (*at).min(found.get(number).copied().unwrap_or(Position::START))
        };
        let mut up_to: Vec<_> = checkpoints.iter().enumerate().map(of_found).collect();
        let (known, others) = waiting.split_at(waiting.len().min(KNOWN));
        for blocked in others {
            if let Some(up_to) = up_to.get_mut(usize::from(blocked.segment)) {
                *up_to = (*up_to).min(Waited::of(blocked).up_to);
            }
        }
        let dropped = Handled { scope: was, up_to, waiting: known.iter().map(Waited::of).collect() };
        // Where a stream waits for what was handed over late, the older ones tell what of it had been handled before.
        if waiting.iter().all(|blocked| blocked.after < blocked.position) {
            self.handled.retain(|handled| !handled.is_within(&dropped));
        }
        self.handled.push(dropped);
    }

    /// It starts over there.
    pub(super) fn begin(&mut self, position: Position, present: Vec<(Position, Position)>) {
        (self.began, self.present) = (position, present);
        (self.handled, self.left_out) = (Vec::new(), Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{BlockedAt, Filter};

    /// What is found where no names are dropped.
    const NOTHING: (&[Position], &[BlockedStream]) = (&[], &[]);

    fn named(names: &[&'static str]) -> Scope {
        let names = names.iter().map(|name| std::sync::Arc::from(*name)).collect();
        Scope::of(&Filter { names: Some(names), ..Filter::default() })
    }

    fn at(position: i64) -> Position {
        Position::from_i64(position)
    }

    fn event(position: i64, name: &str) -> StoredEvent {
        let (id, data) = (Uuid::nil(), "{}".into());
        StoredEvent::new(at(position), None, id, name.into(), data, jiff::Timestamp::UNIX_EPOCH)
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
        assert_eq!(kept.change(named(&["A", "B"]), Some(at(4)), NOTHING, &[at(9), at(3)]), [at(4), at(3)]);
        let stream = StreamId::random();
        let handled =
            |position, name| kept.was_handled(0, &TenantId::DEFAULT, &stream, &event(position, name));
        assert!(handled(9, "A") && !handled(10, "A") && !handled(7, "B"));
        assert!(!kept.was_handled(1, &TenantId::DEFAULT, &stream, &event(3, "A")));
        assert_eq!(kept.handled_up_to(0), at(9));
        assert_eq!(Kept::from_text(&kept.to_text().unwrap()).unwrap(), kept);
    }
    #[test]
    fn who_wants_fewer_keeps_what_was_handled_but_for_what_waited() {
        let (both, one) = (named(&["A", "B"]), named(&["A"]));
        let mut kept = Kept::new(both.clone(), at(0), Vec::new());
        let (free, waits) = (StreamId::random(), StreamId::random());
        let place = BlockedAt::new(at(2), at(4));
        let blocked =
            BlockedStream::new(TenantId::DEFAULT, waits.clone(), 0, place, jiff::Timestamp::UNIX_EPOCH);
        let checkpoints = [at(9)];
        let found = (&checkpoints[..], std::slice::from_ref(&blocked));
        assert_eq!(kept.change(one.clone(), None, found, &[at(10)]), [at(10)]);
        assert_eq!(kept.change(both.clone(), Some(at(0)), NOTHING, &[at(20)]), [at(0)]);
        let handled = |kept: &Kept, stream, position, name| {
            kept.was_handled(0, &TenantId::DEFAULT, stream, &event(position, name))
        };
        assert!(handled(&kept, &free, 9, "B") && !handled(&kept, &free, 10, "B"));
        assert!(handled(&kept, &waits, 2, "B") && !handled(&kept, &waits, 3, "B"));
        assert!(handled(&kept, &waits, 20, "A") && !handled(&kept, &free, 21, "A"));
        assert_eq!(
            kept.handled_above(0, at(0)),
            [(both.clone(), at(0), at(9)), (one.clone(), at(9), at(20))]
        );
        assert_eq!(Kept::from_text(&kept.to_text().unwrap()).unwrap(), kept);
        // However often.
        for round in 3..100 {
            let checkpoints = [at(10 * round)];
            kept.change(one.clone(), None, (&checkpoints, &[]), &checkpoints);
            kept.change(both.clone(), Some(at(0)), NOTHING, &checkpoints);
        }
        assert!(kept.handled.len() < 4, "{kept:?}");
        assert!(handled(&kept, &waits, 990, "B"));
    }

    #[test]
    fn what_is_left_out_is_what_was_passed_and_no_more() {
        let mut kept = Kept::new(named(&["A"]), at(0), Vec::new());
        kept.change(named(&["A", "B"]), Some(at(0)), NOTHING, &[at(9)]);
        assert_eq!(kept.change(named(&["A", "B", "C"]), None, NOTHING, &[at(4)]), [at(4)]);
        let stream = StreamId::random();
        let left_out = |kept: &Kept, position, name| {
            kept.was_left_out(0, &TenantId::DEFAULT, &stream, &event(position, name))
        };
        assert!(left_out(&kept, 9, "C") && !left_out(&kept, 10, "C"));
        assert!(!left_out(&kept, 9, "A") && !left_out(&kept, 9, "B"));
        kept.change(named(&["A", "B", "C", "D"]), Some(at(0)), NOTHING, &[at(20)]);
        assert!(!left_out(&kept, 9, "D"), "it is handed over");
        assert_eq!(Kept::from_text(&kept.to_text().unwrap()).unwrap(), kept);
        for round in 3..100 {
            kept.change(named(&["A"]), None, NOTHING, &[at(10 * round)]);
            kept.change(named(&["A", "B"]), None, NOTHING, &[at(10 * round)]);
        }
        assert!(kept.left_out.len() < 4, "{kept:?}");
    }

    /// As it was written before there was more to keep.
    #[test]
    fn what_an_older_version_has_written_is_read() {
        let text = r#"{"scope":{"names":["A"]},"began":0,"handled":[{"scope":{},"up_to":[7]}]}"#;
        let kept = Kept::from_text(text).unwrap();
        assert!(kept.was_handled(0, &TenantId::DEFAULT, &StreamId::random(), &event(7, "B")));
        assert_eq!(kept.to_text().unwrap(), text);
    }
}
