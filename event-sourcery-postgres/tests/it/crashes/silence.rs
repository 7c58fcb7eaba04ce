//! Ways to the server that die in silence: no call waits for an answer that does not come, and none is ended that takes long.

use std::time::{Duration, Instant};

use event_sourcery::backend::{
    Kept, RenewRequest, Scope, SubscriptionBackend as _, SubscriptionChange, SubscriptionId,
};
use event_sourcery::{Error, Event as _, Position, RawEvent, StreamId, TenantId};
use futures_util::future::join_all;
use tokio::time::timeout;
use uuid::Uuid;

use super::cut::Cut;
use super::proxy::Lost;
use crate::scene::{Scene, event, length, open};

/// What the tests give a call until it has to have ended: generous, and less than a system takes to give a connection up.
const IN_TIME: Duration = Duration::from_secs(120);

async fn in_time<T>(call: impl Future<Output = T>) -> T {
    timeout(IN_TIME, call).await.expect("a call waits for an answer that does not come")
}

#[tokio::test]
async fn an_append_on_a_way_that_dies_in_silence_has_an_unknown_outcome_and_its_repeat_is_recognised() {
    let cut = Cut::new(Lost::AnswerInSilence, 1).await;
    let (stream, id) = (StreamId::random(), Uuid::now_v7());
    cut.store.append(&StreamId::random(), event()).await.expect("it is prepared");
    cut.after(1).await;
    let lost = in_time(cut.store.append(&stream, event().with_id(id)).into_future()).await.unwrap_err();
    assert!(matches!(lost, Error::OutcomeUnknown { .. }), "{lost:?}");
    assert!(in_time(cut.store.append(&stream, event().with_id(id)).into_future()).await.unwrap().repeated);
    assert_eq!(length(&cut.scene.store, &stream).await, 1);
}

#[tokio::test]
async fn a_call_that_reads_on_a_way_that_dies_in_silence_is_unavailable_and_can_be_made_again() {
    let cut = Cut::new(Lost::AnswerInSilence, 1).await;
    let stream = StreamId::random();
    cut.store.append(&stream, event()).await.unwrap();
    assert_eq!(length(&cut.store, &stream).await, 1);
    cut.after(1).await;
    let lost = in_time(cut.store.load_stream::<RawEvent>(&stream).into_future()).await.unwrap_err();
    assert!(matches!(lost, Error::Unavailable { .. }) && lost.is_retryable(), "{lost:?}");
    assert_eq!(length(&cut.store, &stream).await, 1);
    cut.after(1).await;
    // All who ask share the look that waits in vain.
    for asked in in_time(join_all((0..5).map(|_| cut.store.position()))).await {
        assert!(matches!(asked, Ok(_) | Err(Error::Unavailable { .. })), "{asked:?}");
    }
    in_time(cut.store.position()).await.unwrap();
}

/// A page takes several statements of one moment. Whether the n-th of them was lost.
async fn page_with_a_loss_at(n: i64) -> bool {
    let cut = Cut::new(Lost::AnswerInSilence, 1).await;
    let stream = StreamId::random();
    cut.store.append(&stream, event()).await.unwrap();
    cut.after(n).await;
    let page = async || cut.store.load_stream::<RawEvent>(&stream).stream().try_next().await;
    let read = in_time(page()).await;
    assert!(matches!(read, Err(Error::Unavailable { .. }) | Ok(Some(_))), "lost at {n}: {read:?}");
    let was_lost = cut.proxy.has_cut();
    cut.proxy.cut(0);
    assert!(in_time(page()).await.unwrap().is_some(), "lost at {n}");
    was_lost
}

#[tokio::test]
async fn a_page_on_a_way_that_dies_in_silence_can_be_read_again_whatever_was_lost_of_it() {
    let lost = join_all((1..=8).map(page_with_a_loss_at)).await;
    assert!(lost.iter().take(3).all(|lost| *lost) && lost.last() == Some(&false), "{lost:?}");
}

#[tokio::test]
async fn appends_that_share_a_way_that_dies_in_silence_are_each_written_once() {
    for n in [1, 3, 6] {
        let cut = Cut::new(Lost::AnswerInSilence, 3).await;
        let (store, id) = (&cut.store, Uuid::now_v7());
        let append = async |number: u128| {
            let id = Uuid::from_u128(id.as_u128() + number);
            let append = || store.append(&StreamId::from_uuid(id), event().with_id(id)).into_future();
            match in_time(append()).await {
                // Busy is who has waited for his turn.
                Err(Error::OutcomeUnknown { .. } | Error::Busy { .. }) => in_time(append()).await.map(drop),
                Err(Error::Unavailable { .. }) => {
                    in_time(append()).await.map(|appended| assert!(!appended.repeated))
                }
                appended => appended.map(drop),
            }
        };
        cut.after(n).await;
        for appended in join_all((0..40).map(append)).await {
            appended.unwrap();
        }
        assert!(cut.proxy.has_cut());
        assert_eq!(cut.scene.events().await, 40, "cut at {n}");
    }
}

/// All leases of a process are renewed by one call, and end after 15 s. What it has locked when its way dies, nobody else may renew.
#[tokio::test]
async fn renewals_on_a_way_that_dies_in_silence_are_made_on_another_before_the_leases_end() {
    let (cut, member) = (Cut::new(Lost::AnswerInSilence, 1).await, Uuid::now_v7());
    let renewal = |name: &str| {
        let kept = Kept::new(Scope::default(), Position::START, Vec::new());
        let request = RenewRequest::new(member, (8, Position::START), kept, Duration::from_secs(15));
        (SubscriptionId::new(TenantId::DEFAULT, name), SubscriptionChange::Renew(request))
    };
    let renewals = || ["letters", "invoices"].map(renewal).to_vec();
    let (backend, elsewhere) = (cut.store.backend(), cut.scene.store.backend());
    cut.store.position().await.expect("the run of the server is known");
    backend.change_subscriptions(renewals()).await.expect("it is prepared");
    // The segments are locked by then.
    cut.after(3).await;
    let begun = Instant::now();
    in_time(backend.change_subscriptions(renewals())).await.unwrap_err();
    for (id, renewal) in renewals() {
        elsewhere.change_subscription(id, renewal).await.unwrap();
    }
    assert!(cut.proxy.has_cut());
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
}

/// All members of a process wait for it, and their leases end after 15 s: it fails soon, and each asks for itself.
#[tokio::test]
async fn a_presence_on_a_way_that_dies_in_silence_is_renewed_on_another_before_the_leases_end() {
    let cut = Cut::new(Lost::AnswerInSilence, 1).await;
    let kept = Kept::new(Scope::default(), Position::START, Vec::new());
    let request = RenewRequest::new(Uuid::now_v7(), (8, Position::START), kept, Duration::from_secs(15));
    let renewal = SubscriptionChange::Renew(request.with_presence(7));
    let (backend, id) = (cut.store.backend(), SubscriptionId::new(TenantId::DEFAULT, "letters"));
    backend.change_subscription(id, renewal).await.unwrap();
    backend.renew_presence(7).await.unwrap().expect("it is there, and the call is prepared");
    cut.after(1).await;
    let begun = Instant::now();
    in_time(backend.renew_presence(7)).await.unwrap_err();
    assert!(in_time(backend.renew_presence(7)).await.unwrap().is_some());
    assert!(cut.proxy.has_cut());
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
}

/// How a store may be kept from seeing what the server does on its connections.
#[derive(Debug, Clone, Copy)]
enum Hidden {
    Nothing,
    /// The server keeps no record of it.
    Unrecorded,
    /// The store works as a role that is no member of its login.
    FromItsRole,
}

impl Hidden {
    /// A scene with it, and the login of a store.
    async fn scene(self) -> (Scene, String) {
        let scene = Scene::new().await;
        let (name, login) = (scene.database.name(), format!("login_{}", scene.database.name()));
        match self {
            Self::Nothing => {}
            Self::Unrecorded => scene.run(&format!("ALTER DATABASE {name} SET track_activities = off")).await,
            Self::FromItsRole => {
                let role = format!(
                    "CREATE ROLE owner_{name} NOLOGIN; CREATE ROLE {login} LOGIN IN ROLE owner_{name};
                     ALTER ROLE {login} SET ROLE TO 'owner_{name}';
                     GRANT ALL ON ALL TABLES IN SCHEMA public TO owner_{name};
                     GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO owner_{name}"
                );
                scene.run(&role).await;
                return (scene, login);
            }
        }
        (scene, "postgres".to_owned())
    }

    /// Roles are there for the whole server.
    async fn drop(self, scene: &Scene) {
        if let Self::FromItsRole = self {
            let name = scene.database.name();
            let roles = format!("DROP ROLE login_{name}; DROP OWNED BY owner_{name}; DROP ROLE owner_{name}");
            scene.run(&roles).await;
        }
    }
}

/// An append that is lost half-way, where this is hidden.
async fn append_with_a_loss(hidden: Hidden, streams: usize) {
    let (scene, login) = hidden.scene().await;
    let cut = Cut::on(scene, &login, Lost::AnswerInSilence, 1).await;
    let append = async || {
        let (one, other) = (StreamId::random(), StreamId::random());
        let append = cut.store.append_all().and(&one, event());
        let append = if streams == 1 { append } else { append.and(&other, event()) };
        in_time(append.into_future()).await
    };
    cut.after(if streams == 1 { 1 } else { 3 }).await;
    let lost = append().await.unwrap_err();
    assert!(matches!(lost, Error::OutcomeUnknown { .. }), "{hidden:?}, {streams}: {lost:?}");
    assert!(cut.proxy.has_cut());
    append().await.unwrap();
    let Cut { scene, store, .. } = cut;
    drop(store);
    hidden.drop(&scene).await;
}

/// The server is idle then, and where the append takes several statements, idle in a transaction until it ends that.
#[tokio::test]
async fn a_way_that_dies_in_silence_is_given_up_also_where_nobody_may_see_what_the_server_does() {
    let hidden = [Hidden::Unrecorded, Hidden::FromItsRole];
    let appends =
        hidden.into_iter().flat_map(|hidden| [1, 2].map(|streams| append_with_a_loss(hidden, streams)));
    join_all(appends).await;
}

async fn append_that_takes_long(hidden: Hidden) {
    let (scene, login) = hidden.scene().await;
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                    'BEGIN PERFORM pg_sleep(12); RETURN NEW; END';
                CREATE TRIGGER slow BEFORE INSERT ON event_sourcery_events FOR EACH ROW EXECUTE FUNCTION slow()";
    let store = open(&scene.database.url().replace("//postgres@", &format!("//{login}@"))).await;
    scene.run(slow).await;
    let begun = Instant::now();
    store.append(&StreamId::random(), event()).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(12), "{hidden:?}");
    drop(store);
    hidden.drop(&scene).await;
}

#[tokio::test]
async fn what_takes_long_is_waited_for_as_long_as_the_server_is_at_work() {
    join_all([Hidden::Nothing, Hidden::Unrecorded, Hidden::FromItsRole].map(append_that_takes_long)).await;
}
