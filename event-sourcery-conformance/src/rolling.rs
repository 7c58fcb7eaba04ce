//! Clause 8.12: programs of several versions come and go, are killed, and fail, and each event takes effect once.

use std::time::Duration;

use event_sourcery::{Event as _, Passed, RawEvent, StreamId};

use super::deployments::append;
use super::exactly_once::effects;
use super::ledger::ledger;
use super::reaction::{Deed, End, Reaction};
use super::running::{Running, eventually};
use super::subject::Subject;

/// Programs of three versions come and go while events of all names are appended, handlers fail, and runs are dropped.
pub(super) async fn clause_8_12_deployments_with_kills_and_failures_hand_over_each_event_once(
    subject: Subject,
) {
    const VERSIONS: [&[&str]; 3] = [&["a"], &["a", "b"], &["a", "b", "c"]];
    const PARCELS: usize = 6;
    let (store, random) = (subject.store(), || uuid::Uuid::new_v4().as_u64_pair().1);
    let parcels: Vec<_> = (0..PARCELS).map(|number| ledger(&format!("parcel {number}"))).collect();
    let reactor = subject.reactor().await;
    let start = |version: usize| {
        let reaction = Reaction::new(move |recorded| {
            let event = &recorded.wrapped_event;
            let note = format!(r#"{{"note":"{} {}"}}"#, event.event.name(), event.version.unwrap());
            let noted = RawEvent::new("posted", note).unwrap().with_id(uuid::Uuid::now_v7());
            let end = if random() % 6 == 0 { End::Fails } else { End::Takes(Duration::from_micros(300)) };
            let appends = vec![(effects(&recorded.stream_id), noted)];
            Deed { deletes: Vec::new(), shreds: Vec::new(), appends, end }
        });
        let settings = super::running::Settings {
            name: "board",
            names: VERSIONS[version],
            widen: Some(Passed::HandOver),
            lease: Duration::from_millis(120),
            batch: 1 + usize::try_from(random() % 5).unwrap(),
            attempts: 1_000,
            ..super::running::Settings::default()
        };
        Running::exactly_once(&reactor, settings, reaction)
    };
    let mut runs = vec![start(0)];
    for round in 0..24_usize {
        for parcel in &parcels {
            let names: Vec<_> = (0..random() % 3).map(|_| ["a", "b", "c"][random() as usize % 3]).collect();
            if !names.is_empty() {
                append(&store, parcel, &names).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(random() % 40)).await;
        // The older ones still come back after a newer one was there.
        let version = usize::try_from(random()).unwrap_or(0) % (1 + round / 8);
        runs.push(start(version));
        if runs.len() > 2 {
            let leaving = runs.remove(usize::try_from(random() % 2).unwrap());
            if random() % 2 == 0 { leaving.stop().await } else { leaving.kill().await }
        }
    }
    runs.push(start(2));
    for run in runs.drain(..2) {
        run.stop().await;
    }
    let mut expected = Vec::new();
    for parcel in &parcels {
        let events = store.load_stream::<RawEvent>(parcel).await.unwrap();
        let note = |(at, name): (usize, &str)| format!("{name} {}", at + 1);
        let names: Vec<_> = events.iter().map(|event| event.event.name().to_owned()).collect();
        expected.push(names.iter().enumerate().map(|(at, name)| note((at, name))).collect::<Vec<_>>());
    }
    let posted = async |parcel: &StreamId| {
        let events = store.load_stream::<RawEvent>(&effects(parcel)).await.unwrap();
        let note = |data: &str| data.split('"').nth(3).unwrap().to_owned();
        events.iter().map(|event| note(event.event.data().get())).collect::<Vec<_>>()
    };
    for (parcel, expected) in parcels.iter().zip(&expected) {
        let what = format!("all of {parcel} has taken effect");
        eventually(&what, async || posted(parcel).await.len() >= expected.len()).await;
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    for run in runs {
        run.stop().await;
    }
    for (parcel, expected) in parcels.iter().zip(&expected) {
        let found = posted(parcel).await;
        for name in ["a", "b", "c"] {
            let of = |all: &[String]| {
                all.iter().filter(|note| note.starts_with(name)).cloned().collect::<Vec<_>>()
            };
            assert_eq!(of(&found), of(expected), "of the name {name}, each once and in order: {found:?}");
        }
    }
}
