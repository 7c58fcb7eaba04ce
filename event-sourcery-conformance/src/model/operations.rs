//! What can be done, as data that proptest makes and shrinks. Numbers that choose among what exists are taken modulo.

use event_sourcery::backend::Capabilities;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

/// One operation.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Append {
        tenant: usize,
        parts: Vec<Part>,
        requires: Option<(usize, Expected)>,
    },
    /// An earlier append again, accepted then or refused.
    Again {
        which: usize,
        twist: Twist,
    },
    Load {
        tenant: usize,
        stream: usize,
        how: How,
    },
    Delete {
        tenant: usize,
        stream: usize,
    },
    Snapshot {
        tenant: usize,
        stream: usize,
        version: Expected,
        kind: Kind,
        known_id: bool,
    },
    Scan {
        after: usize,
        limit: usize,
        tenant: Option<usize>,
        category: Option<bool>,
        names: Option<u8>,
    },
    Position,
}

/// The part of an append that goes to one stream.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) stream: usize,
    pub(super) expected: Expected,
    pub(super) events: Vec<Body>,
}

/// A version, as the caller comes by it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expected {
    /// What the stream has: its version, or none.
    Right,
    /// So much above what it has.
    Above(u64),
    Exactly(u64),
    NoVersioning,
}

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Noted(u64),
    /// Of a type that the reader does not know.
    Erased,
    /// With a payload that does not fit the reader's type.
    Broken,
}

/// What is different when an append is made again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Twist {
    Nothing,
    OtherSpelling,
    OtherExpectation(u64),
    OtherOrder,
    OtherPartOrder,
    OtherPayload,
    OtherType,
    OtherStream(usize),
    OtherTenant(usize),
    WithoutFirst,
    WithoutLast,
    WithNew,
    OnlyFirstPart,
    FirstEventTwice,
}

/// How a stream is loaded.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    /// By a type that knows the snapshot.
    Knowing,
    /// By a type that does not.
    Unknowing,
    Raw,
    FullHistory,
    Range(u64, u64),
    /// By the backend, in pages of so many.
    Paged(usize),
}

/// A snapshot's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Summed,
    /// Of the right name, in a form that does not decode any more.
    Outdated,
    /// Of a type that the reader does not know.
    Foreign,
    /// Older than the stream's first event.
    Leftover,
}

pub(super) const TENANTS: usize = 3;
pub(super) const STREAMS: usize = 6;

pub(super) fn operation(capabilities: Capabilities) -> impl Strategy<Value = Operation> {
    let Capabilities { several_streams, ids_across_streams, .. } = capabilities;
    let tenant = || prop_oneof![3 => Just(0), 1 => 1..TENANTS];
    let stream = || prop_oneof![2 => Just(0), 3 => 0..STREAMS];
    let parts = if several_streams { 1..4_usize } else { 1..2 };
    let parts = prop_oneof![3 => vec(part(), 1..2), 1 => vec(part(), parts)];
    let requires = || option::weighted(if several_streams { 0.15 } else { 0.0 }, (0..STREAMS, expected()));
    let scan =
        (any::<u8>(), 1..20_usize, option::of(0..TENANTS), option::of(any::<bool>()), option::of(0..4_u8));
    prop_oneof![
        8 => (tenant(), parts, requires())
            .prop_map(|(tenant, parts, requires)| Operation::Append { tenant, parts, requires }),
        4 => (any::<u8>(), twist(ids_across_streams))
            .prop_map(|(which, twist)| Operation::Again { which: which.into(), twist }),
        6 => (tenant(), stream(), how()).prop_map(|(tenant, stream, how)| Operation::Load { tenant, stream, how }),
        2 => (tenant(), stream()).prop_map(|(tenant, stream)| Operation::Delete { tenant, stream }),
        3 => (tenant(), stream(), expected(), kind(), option::weighted(0.1, Just(()))).prop_map(
            |(tenant, stream, version, kind, known)| {
                Operation::Snapshot { tenant, stream, version, kind, known_id: known.is_some() }
            }
        ),
        2 => scan.prop_map(|(after, limit, tenant, category, names)| {
            Operation::Scan { after: after.into(), limit, tenant, category, names }
        }),
        1 => Just(Operation::Position),
    ]
}

fn part() -> impl Strategy<Value = Part> {
    let events = prop_oneof![1 => vec(body(), 0..1), 20 => vec(body(), 1..4)];
    let stream = prop_oneof![2 => Just(0), 3 => 0..STREAMS];
    (stream, expected(), events).prop_map(|(stream, expected, events)| Part { stream, expected, events })
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![30 => (0..9_u64).prop_map(Body::Noted), 1 => Just(Body::Erased), 1 => Just(Body::Broken)]
}

fn expected() -> impl Strategy<Value = Expected> {
    prop_oneof![
        8 => Just(Expected::Right),
        2 => (0..5_u64).prop_map(Expected::Exactly),
        1 => (1..3_u64).prop_map(Expected::Above),
        2 => Just(Expected::NoVersioning),
    ]
}

fn twist(ids_across_streams: bool) -> impl Strategy<Value = Twist> {
    // Whoever does not look for ids elsewhere writes what is sent elsewhere.
    let elsewhere = move |twist| if ids_across_streams { twist } else { Twist::Nothing };
    prop_oneof![
        4 => Just(Twist::Nothing),
        2 => Just(Twist::OtherSpelling),
        2 => (0..5_u64).prop_map(Twist::OtherExpectation),
        1 => Just(Twist::OtherOrder),
        1 => Just(Twist::OtherPartOrder),
        1 => Just(Twist::OtherPayload),
        1 => Just(Twist::OtherType),
        1 => (0..STREAMS).prop_map(move |stream| elsewhere(Twist::OtherStream(stream))),
        1 => (0..TENANTS).prop_map(move |tenant| elsewhere(Twist::OtherTenant(tenant))),
        2 => Just(Twist::WithoutFirst),
        2 => Just(Twist::WithoutLast),
        1 => Just(Twist::WithNew),
        1 => Just(Twist::OnlyFirstPart),
        1 => Just(Twist::FirstEventTwice),
    ]
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        4 => Just(How::Knowing),
        1 => Just(How::Unknowing),
        2 => Just(How::Raw),
        1 => Just(How::FullHistory),
        2 => (0..6_u64, 0..9_u64).prop_map(|(start, stop)| How::Range(start, stop)),
        1 => (1..4_usize).prop_map(How::Paged),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![5 => Just(Kind::Summed), 1 => Just(Kind::Outdated), 1 => Just(Kind::Foreign), 1 => Just(Kind::Leftover)]
}
