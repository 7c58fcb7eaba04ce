//! What somebody finds who has the files of a store, a dump of it, its errors and its logs: nothing that is marked as personal.
//!
//! The search is the backend's, in whatever it writes. What it is to have written is here.

mod log;
mod search;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use event_sourcery::copy::export;
use event_sourcery::{
    Aggregate, Emitting, Error, Event, EventStore, RawEvent, Recorded, Repository, Result, SnapshotState,
    StreamId,
};
use serde::{Deserialize, Deserializer, Serialize, de};
use uuid::Uuid;

pub use self::log::Log;
pub use self::search::{found_in, found_in_folder};
use super::customers::encryption;
use super::ledger::Ledgers as _;
use super::post::{Fate, Post};
use super::running::SOON;

/// What nobody is to find.
pub const SECRETS: [&str; 4] =
    ["ann.lovelace@example.com", "allergic to shellfish", "bob.babbage@example.com", "no number at all 4711"];

/// What is not marked, and is to be found: a search that does not find it, finds nothing.
pub const OPEN: &str = "York, behind the minster";

/// Who is to be forgotten.
const ANN: &str = "17";

#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(name = "attacked")]
struct Registered {
    #[event(subject)]
    customer: String,
    #[event(encrypted, mask = "forgotten")]
    email: String,
    #[event(encrypted)]
    notes: BTreeMap<String, String>,
    city: String,
}

/// The same events for a reader who takes the address for a number, and complains about what it is.
#[derive(Event, Serialize, Deserialize, Debug)]
#[event(name = "attacked")]
struct Misread {
    email: u64,
}

/// A type that complains about what it has written itself.
#[derive(Event, Serialize, Deserialize, Debug)]
#[event(name = "complaining")]
struct Complaining {
    #[event(subject)]
    customer: String,
    #[event(encrypted)]
    number: Number,
}

#[derive(Serialize, Debug, Default)]
struct Number(String);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Err(de::Error::custom(format!("{text:?} is no number")))
    }
}

/// A customer, as events make it.
#[derive(Default, Serialize, Deserialize, Debug)]
struct Customer {
    email: String,
}

impl Aggregate for Customer {
    type Event = Registered;
    const CATEGORY: &'static str = "attacked";

    fn apply(&mut self, event: &Registered) {
        self.email.clone_from(&event.email);
    }
}

impl SnapshotState for Customer {
    const FORMAT: u16 = 1;
}

fn registered(customer: &str, email: &str) -> Registered {
    let notes = BTreeMap::from([("health".to_owned(), SECRETS[1].to_owned())]);
    Registered { customer: customer.to_owned(), email: email.to_owned(), notes, city: OPEN.to_owned() }
}

fn ann() -> Registered {
    registered(ANN, SECRETS[0])
}

fn bob() -> Registered {
    registered("18", SECRETS[2])
}

/// A store that holds what is personal in every way in which it can, and what it has said.
pub struct Life {
    store: EventStore,
    /// The same without keys.
    bare: EventStore,
    stream: StreamId,
    said: Vec<String>,
    exported: Vec<u8>,
}

impl Life {
    /// Fills a store with events, copies, a snapshot, a state, entries of the outbox and parked ones, and provokes errors.
    pub async fn lead(bare: EventStore) -> Self {
        let store = bare.clone().with_encryption(encryption()).unwrap().with_outbox(|_| true).unwrap();
        let stream = StreamId::from_name("attacked/17").unwrap();
        let mut life = Self { store, bare, stream, said: Vec::new(), exported: Vec::new() };
        let appended = life.store.append(&life.stream, (ann(), bob(), ann())).await.unwrap();
        life.store.save_snapshot(&life.stream, 3, ann()).await.unwrap();
        let events = life.store.load_stream::<RawEvent>(&life.stream).full_history().await.unwrap();
        let copies: Vec<_> = events.into_iter().map(|wrapped| wrapped.event).collect();
        life.store.append(&StreamId::from_name("attacked/archive").unwrap(), copies).await.unwrap();
        life.keep_states().await;
        life.store.settled(appended.position).await;
        life.refuse_entries().await;
        life.park().await;
        life.provoke().await;
        life.reads(&ann()).await;
        life.export().await;
        life
    }

    /// Shreds one of the two customers.
    pub async fn forget(&mut self) {
        self.store.shred(ANN).await.unwrap();
        let forgotten = Registered { email: "forgotten".to_owned(), notes: BTreeMap::new(), ..ann() };
        self.reads(&forgotten).await;
        let refused = self.store.append(&self.stream, ann()).expected_version(3).await;
        self.note_error(refused);
        self.provoke().await;
        self.export().await;
    }

    /// All errors and listings, as they are shown.
    pub fn said(&self) -> &[String] {
        &self.said
    }

    /// What was exported by a handle with keys, all together.
    pub fn exported(&self) -> &[u8] {
        &self.exported
    }

    async fn export(&mut self) {
        let last = self.store.append(&StreamId::random(), bob()).await.unwrap();
        self.store.settled(last.position).await;
        export(&self.store, &mut self.exported).await.unwrap();
    }

    /// That it is there: what was never written is not found either.
    async fn reads(&self, ann: &Registered) {
        let events = self.store.load_stream::<Registered>(&self.stream).full_history().await.unwrap();
        let events: Vec<_> = events.into_iter().map(|wrapped| wrapped.event).collect();
        assert_eq!(events, [ann.clone(), bob(), ann.clone()]);
        let snapshot = self.store.load_stream::<Registered>(&self.stream).await.unwrap();
        assert_eq!(snapshot[0].event, *ann);
    }

    async fn keep_states(&self) {
        let (repository, id) =
            (Repository::<Customer>::new(&self.store).snapshot_every(1), StreamId::random());
        for _ in 0..3 {
            let emit = |customer: &mut Emitting<Customer>| {
                customer.emit(ann());
                Ok::<_, Infallible>(())
            };
            repository.aggregate(&id, emit).await.unwrap();
        }
    }

    async fn refuse_entries(&mut self) {
        let outbox = || self.store.outbox().limit(10_000).attempts(1).pauses(Duration::ZERO, Duration::ZERO);
        assert!(outbox().run(Post::that(|_, _| Fate::Away)).await.unwrap().is_away);
        let published = outbox().run(Post::that(|_, _| Fate::Refused)).await.unwrap();
        assert!(published.refused > 0, "{published:?}");
        let parked = outbox().parked().await.unwrap();
        assert!(!parked.is_empty());
        self.said.push(format!("{parked:?}"));
    }

    async fn park(&mut self) {
        let durable = || self.store.subscribe::<Misread>().durable("misread").attempts(1);
        let listing = durable();
        let until = async move {
            while listing.parked().await.map_or(0, |parked| parked.len()) == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let run = durable().until(until).run(async |_: Recorded<Misread>, _| Ok(()));
        tokio::time::timeout(SOON, run).await.expect("it is parked").expect("nobody is stopped");
        let parked = durable().parked().await.unwrap();
        self.said.push(format!("{parked:?}"));
    }

    /// Errors by whatever can go wrong with what is encrypted.
    async fn provoke(&mut self) {
        let conflict = self.store.append(&self.stream, ann()).expected_version(1).await;
        self.note_error(conflict);
        let misread = self.store.load_stream::<Misread>(&self.stream).full_history().await;
        self.note_error(misread);
        let without_keys = self.bare.load_stream::<Registered>(&self.stream).await;
        self.note_error(without_keys);
        let without_keys = self.bare.append(&StreamId::random(), ann()).await;
        self.note_error(without_keys);
        let complaining = Complaining { customer: "19".to_owned(), number: Number(SECRETS[3].to_owned()) };
        let complaint = self.store.append(&StreamId::random(), complaining).await;
        self.note_error(complaint);
        let id = Uuid::now_v7();
        let known = self.store.append(&StreamId::random(), bob().with_id(id)).await;
        known.unwrap();
        let reused = self.store.append(&StreamId::random(), bob().with_id(id)).await;
        self.note_error(reused);
    }

    #[track_caller]
    fn note_error<T>(&mut self, answer: Result<T>) {
        let Some(error) = answer.err() else { panic!("it was not refused") };
        self.said.push(told(&error));
    }
}

fn told(error: &Error) -> String {
    format!("{error:?} {error} {}", error.in_full())
}
