//! Tags, and decisions across streams: beside appends without tags, and beside streams.

use std::hint::black_box;
use std::time::Instant;

use event_sourcery::{Event as _, EventStore, Query, QueryItem, StreamId, Tag};
use tokio::task::JoinSet;

use crate::Result;
use crate::bench::{Bench, open, rate};
use crate::figure::{Figure, Target};
use crate::invoice::InvoiceEvent;
use crate::postgres::{self, Server};

/// How many tags each task has of its own, which its events take turns with: such as its courses, or its students.
const OF_A_TASK: usize = 1_000;

/// How many tasks, and how many appends of each.
const TASKS: [(usize, usize); 2] = [(1, 1_000), (32, 250)];

/// What a decision reads, and how many are made in a round.
const HISTORY: u64 = 10;
const DECISIONS: usize = 500;

/// The events that a query of two tags looks among, of so many courses and students, and how often it does.
const EVENTS: usize = 1_000_000;
const A_BATCH: usize = 1_000;
const COURSES: usize = 1_000;
const STUDENTS: usize = 50_000;
const READS: usize = 500;

/// What is asked for of appends with so many tags, by one task and by many.
type Asked = [(usize, [Option<f64>; 2]); 2];
const SQLITE: Asked = [(1, [None, None]), (3, [Some(0.80), Some(0.55)])];
const POSTGRES: Asked = [(1, [None, Some(0.85)]), (3, [None, Some(0.70)])];

pub async fn sqlite(bench: &mut Bench) -> Result<()> {
    if bench.wants("tags") {
        let [of_tags, of_others] = [open(&bench.fresh("tags")?).await?, open(&bench.fresh("others")?).await?];
        of_both(bench, "tags", &of_tags.erased(), &of_others.erased(), SQLITE).await?;
    }
    Ok(())
}

pub async fn postgres(bench: &mut Bench, server: &Server) -> Result<()> {
    if bench.wants("postgres/tags") {
        let [tags, others] = [server.database(), server.database()];
        let of_tags = EventStore::new(postgres::open(&tags).await?);
        let of_others = EventStore::new(postgres::open(&others).await?);
        of_both(bench, "postgres/tags", &of_tags.erased(), &of_others.erased(), POSTGRES).await?;
    }
    Ok(())
}

async fn of_both(
    bench: &mut Bench,
    group: &str,
    of_tags: &EventStore,
    of_others: &EventStore,
    asked: Asked,
) -> Result<()> {
    for (tags, asked) in asked {
        for ((tasks, appends), asked) in TASKS.into_iter().zip(asked) {
            let name = format!("{group}/{tags}-an-event/{tasks}");
            let kind = Kind { tags, ..Kind::default() };
            beside_untagged(bench, &name, [of_tags, of_others], (tasks, appends), &kind, asked).await?;
        }
    }
    for (tasks, appends) in TASKS {
        let kind = Kind { tags: 3, are_new: true, ..Kind::default() };
        let name = format!("{group}/3-new-an-event/{tasks}");
        beside_untagged(bench, &name, [of_tags, of_others], (tasks, appends), &kind, None).await?;
    }
    decisions(bench, &format!("{group}/decision"), of_tags, of_others).await?;
    hot(bench, &format!("{group}/hot"), of_tags, of_others).await?;
    two_tags(bench, &format!("{group}/query-of-two"), of_tags).await
}

async fn beside_untagged(
    bench: &mut Bench,
    name: &str,
    [of_tags, of_others]: [&EventStore; 2],
    (tasks, appends): (usize, usize),
    kind: &Kind,
    asked: Option<f64>,
) -> Result<()> {
    if !bench.wants(name) {
        return Ok(());
    }
    let appends = bench.count(appends);
    let pairs = bench
        .alternate(
            async || by_tasks(of_tags, tasks, appends, kind).await,
            async || by_tasks(of_others, tasks, appends, &Kind::default()).await,
        )
        .await?;
    bench.report(Figure::of(name, "appends/s", &pairs, "without tags", asked.map(Target::AtLeast)))
}

/// A tag that nothing else has.
fn own_tag() -> Result<Tag> {
    Ok(Tag::new("own", StreamId::random().uuid())?)
}

/// What each task appends: events with so many of its tags, or with so many that nothing else has, and with a tag of all; to a stream of
/// all, to one of the task's, or else to streams of their own.
#[derive(Clone, Default)]
struct Kind {
    tags: usize,
    are_new: bool,
    tag: Option<Tag>,
    to: To,
}

#[derive(Clone, Default)]
enum To {
    #[default]
    Streams,
    StreamOfTheTask,
    Stream(StreamId),
}

async fn by_tasks(store: &EventStore, tasks: usize, appends: usize, kind: &Kind) -> Result<f64> {
    let mut running = JoinSet::new();
    let began = Instant::now();
    for number in 0..tasks {
        running.spawn(task(store.clone(), number, appends, kind.clone()));
    }
    while let Some(finished) = running.join_next().await {
        finished??;
    }
    Ok(rate(tasks * appends, began))
}

async fn task(store: EventStore, task: usize, appends: usize, kind: Kind) -> Result<()> {
    let stream = match &kind.to {
        To::Streams => None,
        To::StreamOfTheTask => Some(StreamId::random()),
        To::Stream(stream) => Some(stream.clone()),
    };
    for number in 0..appends {
        let nth = |tag: usize| match kind.are_new {
            true => own_tag(),
            false => {
                Ok(Tag::new(format!("kind-{tag}"), format!("{task}-{}", (number * 7 + tag) % OF_A_TASK))?)
            }
        };
        let tags = (0..kind.tags).map(nth).collect::<Result<Vec<_>>>()?;
        let event = InvoiceEvent::nth(number as u64).with_tags(tags.into_iter().chain(kind.tag.clone()));
        match &stream {
            Some(stream) => store.append(stream, event).no_versioning().await?,
            None => store.append(&StreamId::random(), event).await?,
        };
    }
    Ok(())
}

/// Ours reads by a tag and appends, to the stream that the events stand in, while nothing was added; beside a load of a stream and an
/// append at its version.
async fn decisions(
    bench: &mut Bench,
    name: &str,
    of_tags: &EventStore,
    of_streams: &EventStore,
) -> Result<()> {
    if !bench.wants(name) {
        return Ok(());
    }
    let mut things = Vec::new();
    for _ in 0..bench.count(DECISIONS) {
        let (tag, stream) = (own_tag()?, StreamId::random());
        let tagged = InvoiceEvent::several(HISTORY).into_iter().map(|event| event.with_tags([tag.clone()]));
        of_tags.append(&stream, tagged.collect::<Vec<_>>()).no_versioning().await?;
        of_streams.append(&stream, InvoiceEvent::several(HISTORY)).await?;
        things.push((tag, stream));
    }
    let pairs = bench
        .alternate(
            async || {
                let began = Instant::now();
                for (tag, stream) in &things {
                    let query = Query::from(QueryItem::new().tagged(tag.clone()));
                    let read = of_tags.read::<InvoiceEvent>(&query).await?;
                    let next = InvoiceEvent::nth(read.events.len() as u64).with_tags([tag.clone()]);
                    of_tags.append(stream, next).no_versioning().unless_moved(&read.boundary).await?;
                }
                Ok(rate(things.len(), began))
            },
            async || {
                let began = Instant::now();
                for (_, stream) in &things {
                    let events = of_streams.load_stream::<InvoiceEvent>(stream).await?;
                    let version = events.len() as u64;
                    let next = InvoiceEvent::nth(version);
                    of_streams.append(stream, next).expected_version(version).await?;
                }
                Ok(rate(things.len(), began))
            },
        )
        .await?;
    let (baseline, target) = ("load and append of a stream", Target::AtLeast(0.80));
    bench.report(Figure::of(name, "decisions/s", &pairs, baseline, target))
}

/// Many tasks that append with one tag, each to a stream of its own, beside as many that append to one stream.
async fn hot(bench: &mut Bench, name: &str, of_tags: &EventStore, of_streams: &EventStore) -> Result<()> {
    if !bench.wants(name) {
        return Ok(());
    }
    let one_tag = Kind { tag: Some(own_tag()?), to: To::StreamOfTheTask, ..Kind::default() };
    let one_stream = Kind { to: To::Stream(StreamId::random()), ..Kind::default() };
    let [_, (tasks, appends)] = TASKS;
    let appends = bench.count(appends);
    let pairs = bench
        .alternate(
            async || by_tasks(of_tags, tasks, appends, &one_tag).await,
            async || by_tasks(of_streams, tasks, appends, &one_stream).await,
        )
        .await?;
    bench.report(Figure::of(name, "appends/s", &pairs, "one hot stream", Target::AtLeast(0.90)))
}

/// A query of two tags among many events, beside a load of as many from one stream.
async fn two_tags(bench: &mut Bench, name: &str, store: &EventStore) -> Result<()> {
    if !bench.wants(name) {
        return Ok(());
    }
    let events = bench.count(EVENTS);
    for first in (0..events).step_by(A_BATCH) {
        let tagged = |number: usize| -> Result<_> {
            let of = [Tag::new("course", number % COURSES)?, Tag::new("student", number % STUDENTS)?];
            Ok(InvoiceEvent::nth(number as u64).with_tags(of))
        };
        let batch = (first..first + A_BATCH).map(tagged).collect::<Result<Vec<_>>>()?;
        store.append(&StreamId::random(), batch).await?;
    }
    let both = |number: usize| -> Result<_> {
        let item = QueryItem::new().tagged(Tag::new("course", number % COURSES)?);
        Ok(Query::from(item.tagged(Tag::new("student", number % STUDENTS)?)))
    };
    let found = store.read::<InvoiceEvent>(&both(0)?).await?.events.len();
    let stream = StreamId::random();
    store.append(&stream, InvoiceEvent::several(found as u64)).await?;
    let reads = bench.count(READS);
    let pairs = bench
        .alternate(
            async || {
                let began = Instant::now();
                for number in 0..reads {
                    black_box(store.read::<InvoiceEvent>(&both(number)?).await?);
                }
                Ok(began.elapsed().as_secs_f64() * 1e6 / reads as f64)
            },
            async || {
                let began = Instant::now();
                for _ in 0..reads {
                    black_box(store.load_stream::<InvoiceEvent>(&stream).await?);
                }
                Ok(began.elapsed().as_secs_f64() * 1e6 / reads as f64)
            },
        )
        .await?;
    bench.report(Figure::of(name, "µs", &pairs, "load of as many from a stream", Target::AtMost(2.0)))
}
