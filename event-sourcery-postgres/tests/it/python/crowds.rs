//! Many appends of Rust's at once, which share transactions, against Python's.

use event_sourcery::{Error, StreamId};
use futures_util::future::join_all;
use reference::invoicing::{Paid, paid};
use reference::{Expected, SharedDatabase as _, append, event};

use super::postgres::Postgres;

const ROUNDS: u64 = 40;
const TASKS: u64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_appends_with_one_expectation_exactly_one_wins() {
    let database = Postgres::create().await;
    let (mut python, rust) = database.both().await;
    let stream = StreamId::from_name("invoices/1003").unwrap();

    for version in 0..ROUNDS {
        python.send(&append(&stream, Expected::Version(version), &[event(&paid("python"))]));
        let appends = (0..TASKS).map(|_| {
            let (rust, stream) = (rust.clone(), stream.clone());
            tokio::spawn(async move { rust.append(&stream, paid("rust")).expected_version(version).await })
        });
        let ours: Vec<_> = join_all(appends).await.into_iter().map(|task| task.unwrap()).collect();
        let theirs = python.answer();

        for refused in ours.iter().filter_map(|append| append.as_ref().err()) {
            assert!(
                matches!(refused, Error::Conflict { expected, actual, .. } if (*expected, *actual) == (version, version + 1)),
                "{refused:?}"
            );
        }
        let won = ours.iter().filter(|append| append.is_ok()).count() + usize::from(theirs.is_ok());
        assert_eq!(won, 1, "round {version}: {ours:?}, {theirs:?}");
    }

    assert_eq!(python.load(&stream).len(), ROUNDS as usize);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_to_many_streams_of_which_python_holds_some_all_succeed() {
    let database = Postgres::create().await;
    let (mut python, rust) = database.both().await;
    let streams: Vec<_> =
        (0..TASKS).map(|number| StreamId::from_name(format!("audit/{number}")).unwrap()).collect();

    for _ in 0..ROUNDS {
        for stream in &streams {
            python.send(&append(stream, Expected::NoVersioning, &[event(&paid("python"))]));
        }
        let appends = streams.iter().map(|stream| {
            let (rust, stream) = (rust.clone(), stream.clone());
            tokio::spawn(
                async move { rust.append(&stream, [paid("rust"), paid("rust")]).no_versioning().await },
            )
        });
        for append in join_all(appends).await {
            append.unwrap().unwrap();
        }
        for _ in &streams {
            python.answer().unwrap();
        }
    }

    for stream in &streams {
        let events = rust.load_stream::<Paid>(stream).await.unwrap();
        let of_rust = events.iter().filter(|event| event.event.number == "rust").count();
        assert_eq!((events.len() as u64, of_rust as u64), (ROUNDS * 3, ROUNDS * 2));
    }
}
