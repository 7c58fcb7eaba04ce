//! Connections that break between an append and its answer: the caller repeats it, and it is there once.

use event_sourcery::{Error, Event as _, EventStore, StreamId};
use event_sourcery_postgres::PostgresBackend;
use futures_util::future::join_all;
use postgres_cluster::Server;
use uuid::Uuid;

use super::appender::{Appender, Attempt, Kind, OWN_TABLE};
use super::proxy::{Lost, Proxy};
use super::survived::Survived;
use crate::scene::{Scene, Store, event, length, until};

/// Where the server is that the tests share.
pub(super) fn server_port() -> u16 {
    let url = Server::shared().url("postgres");
    url.rsplit_once(':').unwrap().1.split('/').next().unwrap().parse().unwrap()
}

/// A store whose connections go through a proxy.
pub(super) struct Cut {
    pub(super) scene: Scene,
    pub(super) proxy: Proxy,
    pub(super) store: Store,
}

impl Cut {
    pub(super) async fn new(lost: Lost, connections: u32) -> Self {
        Self::on(Scene::new().await, "postgres", lost, connections).await
    }

    /// A store of this login's.
    pub(super) async fn on(scene: Scene, login: &str, lost: Lost, connections: u32) -> Self {
        scene.run(OWN_TABLE).await;
        let proxy = Proxy::to(server_port(), lost).await;
        let url = proxy.url(scene.database.name()).replace("//postgres@", &format!("//{login}@"));
        let options = PostgresBackend::options(url).max_connections(connections);
        // Announcements of commits would count too.
        let options = options.notifications(false);
        let store = EventStore::new(options.open().await.unwrap());
        Self { scene, proxy, store }
    }

    /// Breaks the connection on which the store speaks for the n-th time from now.
    pub(super) async fn after(&self, n: i64) {
        // A connection that is given back to the pool is tried there: that does not count.
        let pool = self.store.backend().pool();
        until(async || pool.num_idle() == pool.size() as usize).await;
        self.proxy.cut(n);
    }
}

#[tokio::test]
async fn an_append_whose_answer_is_lost_has_an_unknown_outcome_and_its_repeat_is_recognised() {
    let cut = Cut::new(Lost::Answer, 1).await;
    for versioned in [true, false] {
        let (stream, id) = (StreamId::random(), Uuid::now_v7());
        let append = async |stream: &StreamId, id: Uuid| {
            let append = cut.store.append(stream, event().with_id(id));
            if versioned { append.await } else { append.no_versioning().await }
        };
        append(&StreamId::random(), Uuid::now_v7()).await.expect("it is prepared");
        cut.after(1).await;
        let lost = append(&stream, id).await.unwrap_err();
        assert!(matches!(lost, Error::OutcomeUnknown { .. }) && !lost.is_retryable(), "{lost:?}");
        assert_eq!(length(&cut.scene.store, &stream).await, 1, "it was written");

        let repeated = append(&stream, id).await.unwrap();

        assert!(repeated.repeated);
        assert_eq!(repeated.last_version, versioned.then_some(1));
        assert_eq!(length(&cut.scene.store, &stream).await, 1, "it is written once");
    }
}

#[tokio::test]
async fn an_append_that_is_lost_on_its_way_has_an_unknown_outcome_and_is_written_when_it_is_repeated() {
    let cut = Cut::new(Lost::Question, 1).await;
    let (stream, id) = (StreamId::random(), Uuid::now_v7());
    cut.store.append(&StreamId::random(), event()).await.expect("it is prepared");
    cut.after(1).await;
    let lost = cut.store.append(&stream, event().with_id(id)).await.unwrap_err();
    assert!(matches!(lost, Error::OutcomeUnknown { .. }), "{lost:?}");
    assert_eq!(length(&cut.scene.store, &stream).await, 0);
    let repeated = cut.store.append(&stream, event().with_id(id)).await.unwrap();
    assert!(!repeated.repeated);
    assert_eq!(length(&cut.scene.store, &stream).await, 1);
}

/// Each kind of append, cut at each of its round trips: the statement, the commit of several streams, of a transaction.
#[tokio::test]
async fn whatever_is_lost_of_an_append_in_several_statements_it_is_written_once() {
    for lost in [Lost::Answer, Lost::Question] {
        for kind in Kind::ALL {
            let cut = Cut::new(lost, 1).await;
            let mut appender = Appender::new(&cut.store);
            let mut acknowledged = vec![appender.attempt(&Attempt::new(kind)).await.expect("it is prepared")];
            let mut cuts = 0;
            for n in 1.. {
                let attempt = Attempt::new(kind);
                cut.after(n).await;
                let first = appender.attempt(&attempt).await;
                if !cut.proxy.has_cut() {
                    acknowledged.push(first.unwrap());
                    cut.proxy.cut(0);
                    break;
                }
                cuts += 1;
                match first {
                    Err(Error::OutcomeUnknown { .. } | Error::Unavailable { .. }) => {
                        acknowledged.push(appender.attempt(&attempt).await.expect("the repeat"));
                    }
                    Ok(first) => acknowledged.push(first),
                    Err(other) => panic!("{lost:?}, {kind:?}, cut at {n}: {other:?}"),
                }
            }
            assert!(cuts >= if kind == Kind::TwoStreams { 3 } else { 1 }, "{kind:?}: {cuts} round trips");
            let survived = Survived::read(&cut.scene).await;
            survived.check(&acknowledged);
            assert_eq!(survived.appends.len(), acknowledged.len(), "{lost:?}, {kind:?}");
        }
    }
}

/// Those that share a statement share its loss; each is answered for itself, and is there once.
#[tokio::test]
async fn appends_whose_shared_statement_is_cut_are_each_written_once() {
    for lost in [Lost::Answer, Lost::Question] {
        // The round trips one after the other, until they all got through: a few lone ones, and a shared one.
        for n in 1.. {
            let cut = Cut::new(lost, 2).await;
            let store = &cut.store;
            let append_all = |cut: bool| {
                let appends = (0..40).map(move |number| async move {
                    let (stream, id) =
                        (StreamId::from_name(format!("{cut} {number}")).unwrap(), Uuid::now_v7());
                    match store.append(&stream, event().with_id(id)).await {
                        Ok(appended) => appended,
                        Err(Error::OutcomeUnknown { .. } | Error::Unavailable { .. }) => {
                            store.append(&stream, event().with_id(id)).await.unwrap()
                        }
                        Err(other) => panic!("{lost:?}, cut at {n}: {other:?}"),
                    }
                });
                join_all(appends)
            };
            append_all(false).await;
            cut.after(n).await;
            let appended = append_all(true).await;
            if !cut.proxy.has_cut() {
                assert!(n > 3, "{n} round trips");
                break;
            }
            assert!(appended.iter().all(|appended| appended.last_version == Some(1)));
            assert_eq!(cut.scene.events().await, 80, "{lost:?}, cut at {n}");
        }
    }
}

/// Of appends whose n-th round trip was answered to nobody, with no way to the server left: how many were written, and not
/// known to be.
async fn unknown_with_a_loss_at(n: i64) -> usize {
    let cut = Cut::new(Lost::AnswerAndWay, 2).await;
    let append_all = async |ids: &[Uuid]| {
        let append =
            |id: &Uuid| cut.store.append(&StreamId::from_uuid(*id), event().with_id(*id)).into_future();
        join_all(ids.iter().map(append)).await
    };
    let ids = || (0..20).map(|_| Uuid::now_v7()).collect::<Vec<_>>();
    assert!(append_all(&ids()).await.iter().all(Result::is_ok), "they are prepared");
    cut.after(n).await;
    let ids = ids();
    let outcomes = append_all(&ids).await;
    let mut unknown = 0;
    cut.proxy.cut(0);
    cut.proxy.mend();
    for (id, outcome) in ids.iter().zip(outcomes) {
        let written = length(&cut.scene.store, &StreamId::from_uuid(*id)).await;
        match outcome {
            Ok(_) => assert_eq!(written, 1),
            Err(Error::OutcomeUnknown { .. }) => unknown += written,
            Err(Error::Unavailable { .. }) => {
                assert_eq!(written, 0, "cut at {n}: it was said not to be written")
            }
            Err(other) => panic!("cut at {n}: {other:?}"),
        }
        let repeated = append_all(&[*id]).await.remove(0).unwrap();
        assert_eq!((repeated.repeated, repeated.last_version), (written == 1, Some(1)));
    }
    assert_eq!(cut.scene.events().await, 40);
    unknown
}

#[tokio::test]
async fn those_of_a_batch_whose_answer_is_lost_have_an_unknown_outcome_and_their_repeats_are_recognised() {
    let unknown = join_all((1..=6).map(unknown_with_a_loss_at)).await;
    assert!(unknown.iter().any(|unknown| *unknown > 5), "none of them was a batch: {unknown:?}");
}

/// A transaction of the caller's whose commit got no answer.
#[tokio::test]
async fn a_commit_whose_answer_is_lost_has_an_unknown_outcome() {
    let cut = Cut::new(Lost::Answer, 1).await;
    let stream = StreamId::random();
    let mut tx = cut.store.backend().begin().await.unwrap();
    cut.store.within(&mut tx).append(&stream, event()).await.unwrap();
    cut.proxy.cut(1);
    let lost = tx.commit().await.unwrap_err();
    assert!(matches!(lost, Error::OutcomeUnknown { .. }), "{lost:?}");
    assert_eq!(length(&cut.scene.store, &stream).await, 1);
}

/// What only reads, or had not been committed, has kept nothing.
#[tokio::test]
async fn a_call_that_keeps_nothing_and_is_cut_is_unavailable_and_can_be_made_again() {
    let cut = Cut::new(Lost::Answer, 1).await;
    let stream = StreamId::random();
    cut.store.append(&stream, event()).await.unwrap();
    assert_eq!(length(&cut.store, &stream).await, 1);
    cut.after(1).await;
    let lost = cut.store.load_stream::<event_sourcery::RawEvent>(&stream).await.unwrap_err();
    assert!(matches!(lost, Error::Unavailable { .. }) && lost.is_retryable(), "{lost:?}");
    assert_eq!(length(&cut.store, &stream).await, 1);
    cut.after(1).await;
    let lost = cut.store.position().await.unwrap_err();
    assert!(matches!(lost, Error::Unavailable { .. }), "{lost:?}");
    let mut tx = cut.store.backend().begin().await.unwrap();
    cut.proxy.cut(1);
    let lost = cut.store.within(&mut tx).append(&stream, event()).expected_version(1).await.unwrap_err();
    assert!(matches!(lost, Error::Unavailable { .. }), "{lost:?}");
    drop(tx);
    assert_eq!(length(&cut.store, &stream).await, 1);
}
