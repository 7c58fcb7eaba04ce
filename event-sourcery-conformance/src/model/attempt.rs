//! An append as it is sent: with the ids, versions and texts that it has.

use event_sourcery::backend::Expectation;
use event_sourcery::{
    Append, Appended, Event as _, EventStore, NewEvent, RawEvent, Result, StreamId, TenantId, Version,
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::operations::{Body, Twist};

/// An event with its id.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) id: Uuid,
    pub(super) body: Body,
    pub(super) created_at: Timestamp,
    /// Whether its payload is spelled in another way that means the same.
    spelled_otherwise: bool,
}

/// What goes to one stream.
#[derive(Debug, Clone)]
pub(super) struct SentPart {
    pub(super) stream: StreamId,
    pub(super) expectation: Expectation,
    pub(super) events: Vec<Sent>,
}

#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) tenant: TenantId,
    pub(super) parts: Vec<SentPart>,
    pub(super) requires: Option<(StreamId, Version)>,
}

/// The time of an event, by its number in the sequence.
pub(super) fn time(number: i64) -> Timestamp {
    let start: Timestamp = "2026-01-01T00:00:00.000001Z".parse().unwrap();
    start + SignedDuration::from_millis(number)
}

impl Sent {
    pub(super) fn new(body: Body, number: i64) -> Self {
        Self { id: Uuid::now_v7(), body, created_at: time(number), spelled_otherwise: false }
    }

    fn event(&self) -> NewEvent<RawEvent> {
        let data = self.body.data();
        let data = if self.spelled_otherwise { data.replace(':', " :\n").replace('}', "\t}") } else { data };
        RawEvent::new(self.body.name(), data).unwrap().with_id(self.id).with_created_at(self.created_at)
    }
}

impl Body {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Noted(_) | Self::Broken => "noted",
            Self::Erased => "erased",
        }
    }

    pub(super) fn data(self) -> String {
        match self {
            Self::Noted(number) => format!(r#"{{"number":{number}}}"#),
            Self::Broken => r#"{"number":"seven"}"#.to_owned(),
            Self::Erased => "{}".to_owned(),
        }
    }
}

impl Attempt {
    /// This attempt, made again with a difference.
    pub(super) fn twisted(
        &self,
        twist: Twist,
        streams: &[StreamId],
        tenants: &[TenantId],
        number: i64,
    ) -> Self {
        let mut again = self.clone();
        let events = &mut again.parts[0].events;
        match twist {
            Twist::Nothing => {}
            Twist::OtherSpelling => events.iter_mut().for_each(|event| event.spelled_otherwise = true),
            Twist::OtherExpectation(version) => again.parts[0].expectation = Expectation::Version(version),
            Twist::OtherOrder => events.reverse(),
            Twist::OtherPartOrder => again.parts.reverse(),
            Twist::OtherPayload => change(events, Body::Noted(99)),
            Twist::OtherType => change(events, Body::Erased),
            Twist::OtherStream(stream) => again.parts[0].stream = streams[stream].clone(),
            Twist::OtherTenant(tenant) => again.tenant = tenants[tenant].clone(),
            Twist::WithoutFirst => drop(events.drain(..events.len().min(1))),
            Twist::WithoutLast => drop(events.pop()),
            Twist::WithNew => events.push(Sent::new(Body::Noted(1), number)),
            Twist::OnlyFirstPart => again.parts.truncate(1),
            Twist::FirstEventTwice => events.extend(events.first().cloned()),
        }
        again
    }

    pub(super) async fn make(&self, store: &EventStore) -> Result<Vec<Appended>> {
        let store = store.for_tenant(self.tenant.clone());
        let events = |part: &SentPart| part.events.iter().map(Sent::event).collect::<Vec<_>>();
        match &*self.parts {
            [part] => {
                let append = store.append(&part.stream, events(part));
                let append = self.requiring(expecting(append, part.expectation));
                append.await.map(|appended| vec![appended])
            }
            parts => {
                let mut append = store.append_all();
                for part in parts {
                    append = expecting(append.and(&part.stream, events(part)), part.expectation);
                }
                self.requiring(append).await
            }
        }
    }

    fn requiring<'a, On, Out>(&self, append: Append<'a, On, Out>) -> Append<'a, On, Out> {
        match &self.requires {
            Some((stream, version)) => append.requires(stream, *version),
            None => append,
        }
    }
}

fn expecting<'a, On, Out>(append: Append<'a, On, Out>, expectation: Expectation) -> Append<'a, On, Out> {
    match expectation {
        Expectation::Version(version) => append.expected_version(version),
        Expectation::NoVersioning => append.no_versioning(),
    }
}

fn change(events: &mut [Sent], body: Body) {
    if let Some(event) = events.first_mut() {
        event.body = body;
    }
}
