//! Clause 13.3, at random: whatever is told of people, and whoever of them is shredded in between, what is read is exactly what was
//! told, or exactly its masks, in whatever way it is read.

mod told;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Debug;
use std::time::Duration;

use event_sourcery::backend::Backend as _;
use event_sourcery::{
    Aggregate, Emitting, Error, EventStore, Next, QueryItem, Repository, SnapshotState, StreamId,
    Subscription,
};
use proptest::test_runner::{TestCaseError, TestError, TestRunner};
use serde::{Deserialize, Serialize};

use self::told::{Action, Told, action};
use super::customers::encryption;
use super::ledger::{Ledgers as _, ledger, noted, tenant};
use super::model::{SEED, config};
use super::running::SOON;
use super::subject::Subject;

/// How many streams there are. The first is an aggregate's.
const STREAMS: usize = 3;

/// All that was told, as an aggregate that would keep its state.
#[derive(Default, Serialize, Deserialize, Debug)]
struct Story {
    told: Vec<Told>,
}

impl Aggregate for Story {
    type Event = Told;
    const CATEGORY: &'static str = "story";

    fn apply(&mut self, event: &Told) {
        self.told.push(event.clone());
    }
}

impl SnapshotState for Story {
    const FORMAT: u16 = 1;
}

/// A sequence in progress, for a tenant of its own.
struct Play {
    store: EventStore,
    /// A handle that shares nothing with the first one but the store, and keeps no keys.
    another: EventStore,
    stories: Repository<Story>,
    story: StreamId,
    /// What was told, and to which stream.
    told: Vec<(usize, Told)>,
    shredded: BTreeSet<u8>,
    following: Subscription<Told>,
    /// How much of it was handed over.
    followed: usize,
}

impl Play {
    fn new(store: &EventStore, another: &EventStore, number: u64) -> Self {
        let tenant = tenant(&format!("sequence-{number}"));
        let (store, another) = (store.for_tenant(tenant.clone()), another.for_tenant(tenant));
        let following = store.subscribe::<Told>().stream();
        let stories = Repository::<Story>::new(&store).snapshot_every(1);
        let (story, told, shredded) = (StreamId::random(), Vec::new(), BTreeSet::new());
        Self { store, another, stories, story, told, shredded, following, followed: 0 }
    }

    async fn through(mut self, actions: &[Action]) -> Result<(), String> {
        for action in actions {
            self.act(action).await?;
        }
        self.look().await
    }

    async fn act(&mut self, action: &Action) -> Result<(), String> {
        match action {
            Action::Tell(stream, told) => self.tell(*stream, told).await,
            Action::Shred(person) => {
                self.store.shred(&person.to_string()).await.map_err(in_words)?;
                self.shredded.insert(*person);
                Ok(())
            }
            Action::Follow if self.followed < self.told.len() => self.follow().await,
            Action::Follow => Ok(()),
        }
    }

    async fn tell(&mut self, stream: usize, told: &Told) -> Result<(), String> {
        let outcome = if stream == 0 {
            let tell = |story: &mut Emitting<Story>| {
                story.emit(told.clone());
                Ok::<_, Infallible>(())
            };
            self.stories.aggregate(&self.story, tell).await.map(drop).map_err(Error::from)
        } else {
            self.store.append(&self.stream(stream), told.clone()).no_versioning().await.map(drop)
        };
        match (outcome, told.subjects().is_disjoint(&self.shredded)) {
            (Ok(()), true) => self.told.push((stream, told.clone())),
            (Err(Error::SubjectShredded { .. }), false) => {}
            (outcome, _) => return Err(format!("{told:?}, without {:?}: {outcome:?}", self.shredded)),
        }
        Ok(())
    }

    fn stream(&self, number: usize) -> StreamId {
        match number {
            0 => self.stories.stream_id(&self.story).unwrap(),
            _ => StreamId::from_name(format!("told/{number}")).unwrap(),
        }
    }

    /// What is left of what was told, to one stream or to all.
    fn left(&self, stream: Option<usize>) -> Vec<Told> {
        let told = self.told.iter().filter(|(of, _)| stream.is_none_or(|stream| stream == *of));
        told.map(|(_, told)| told.without(&self.shredded)).collect()
    }

    async fn follow(&mut self) -> Result<(), String> {
        let handed_over = next_told(&mut self.following).await?;
        let expected = self.left(None).swap_remove(self.followed);
        self.followed += 1;
        same("a subscription", &[expected], &[handed_over])
    }

    /// Reads everything in every way.
    async fn look(&mut self) -> Result<(), String> {
        // What was appended before is settled with it.
        let last = self.store.append(&ledger("last"), noted(1)).await.map_err(in_words)?;
        self.store.settled(last.position).await;
        for handle in [&self.store, &self.another] {
            for stream in 0..STREAMS {
                self.look_at(handle, stream).await?;
            }
            let (mut all, mut read) = (handle.read_all::<Told>().stream(), Vec::new());
            while let Some(recorded) = all.try_next().await.map_err(in_words)? {
                read.push(recorded.into_event());
            }
            let everything = self.left(None);
            same("read_all", &everything, &read)?;
            let (mut subscription, mut read) = (handle.subscribe::<Told>().stream(), Vec::new());
            while read.len() < everything.len() {
                read.push(next_told(&mut subscription).await?);
            }
            same("a subscription from the beginning", &everything, &read)?;
            if handle.backend().capabilities().tags {
                let all = QueryItem::new().of::<Told>().into();
                let read = handle.read::<Told>(&all).await.map_err(in_words)?;
                let read: Vec<_> = read.events.into_iter().map(|recorded| recorded.into_event()).collect();
                same("a query", &everything, &read)?;
            }
            let (mut batches, mut read) = (handle.subscribe::<Told>().batches(4), Vec::new());
            while read.len() < everything.len() {
                let batch = batches.next(SOON).await.map_err(in_words)?;
                if batch.events.is_empty() {
                    return Err(format!("batches end behind {read:#?}"));
                }
                read.extend(batch.events.into_iter().map(|recorded| recorded.into_event()));
            }
            same("batches", &everything, &read)?;
            let story = Repository::<Story>::new(handle).snapshot_every(1);
            let story = story.load(&self.story).await.map_err(in_words)?;
            same("an aggregate", &self.left(Some(0)), &story.told)?;
        }
        while self.followed < self.told.len() {
            self.follow().await?;
        }
        Ok(())
    }

    async fn look_at(&self, handle: &EventStore, stream: usize) -> Result<(), String> {
        let (expected, stream) = (self.left(Some(stream)), self.stream(stream));
        let loaded = handle.load_stream::<Told>(&stream).await.map_err(in_words)?;
        let loaded: Vec<_> = loaded.into_iter().map(|wrapped| wrapped.event).collect();
        same("load_stream", &expected, &loaded)?;
        let (mut pages, mut read) = (handle.load_stream::<Told>(&stream).stream(), Vec::new());
        while let Some(wrapped) = pages.try_next().await.map_err(in_words)? {
            read.push(wrapped.event);
        }
        same("load_stream, page by page", &expected, &read)
    }
}

async fn next_told(subscription: &mut Subscription<Told>) -> Result<Told, String> {
    loop {
        let next = tokio::time::timeout(SOON, subscription.try_next()).await;
        match next.map_err(in_words)?.map_err(in_words)? {
            Some(Next::Event(recorded)) => return Ok(recorded.into_event()),
            Some(Next::CaughtUp(_)) => {}
            other => return Err(format!("a subscription has told {other:?}")),
        }
    }
}

fn in_words(error: impl Debug) -> String {
    format!("{error:?}")
}

fn same(way: &str, expected: &[Told], read: &[Told]) -> Result<(), String> {
    if expected == read { Ok(()) } else { Err(format!("{way} has read {read:#?} and not {expected:#?}")) }
}

pub(super) async fn clause_13_3_whatever_is_told_reads_as_it_was_told_or_as_its_masks(subject: Subject) {
    let (config, seed) = config((subject.model_cases / 50).max(1));
    let at_once = encryption().cache_for(Duration::ZERO);
    let another = subject.another_store().await.with_encryption(at_once).unwrap();
    let (store, played) = (subject.private(), Cell::new(0));
    let sequences = proptest::collection::vec(action(STREAMS), 1..16);
    let runtime = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        TestRunner::new(config).run(&sequences, |actions| {
            played.set(played.get() + 1);
            let play = Play::new(&store, &another, played.get());
            runtime.block_on(play.through(&actions)).map_err(TestCaseError::fail)
        })
    });
    if let Err(TestError::Fail(reason, actions)) = outcome {
        panic!("{reason}\nafter the actions {actions:#?}\nrun it again with {SEED}={seed}");
    }
    outcome.unwrap();
}
