//! What members ask for at once is asked for together, and in order.

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use uuid::Uuid;

use super::*;
use crate::MemoryBackend;
use crate::backend::{Filter, Kept, RenewRequest, Scope};
use crate::position::Position;
use crate::stream_id::TenantId;
use crate::testing::{Fault, FaultyBackend};

const MEMBER: Uuid = Uuid::from_u128(1);

struct Scene {
    presence: Arc<Presence>,
    faulty: FaultyBackend<MemoryBackend>,
    backend: Arc<dyn Backend>,
}

impl Scene {
    fn new() -> Self {
        let faulty = FaultyBackend::new(MemoryBackend::new());
        let backend = Arc::new(faulty.clone());
        Self { presence: Arc::default(), faulty, backend }
    }

    async fn change(&self, name: &str, change: SubscriptionChange) -> Changed {
        self.presence.change(&self.backend, &id(name), change).await
    }

    /// The member of this number joins, whose leases last so long, and is vouched for.
    async fn join(&self, number: u128, lease: Duration) {
        let (member, name) = (Uuid::from_u128(number), number.to_string());
        let last = Last { id: id(&name), asked: Instant::now(), lease };
        let presence = self.presence.speaks_for(&*self.backend, member, last);
        let request = RenewRequest { presence, ..request(member) };
        self.change(&name, SubscriptionChange::Renew(request)).await.unwrap();
        self.presence.vouches_for(member, true);
    }

    async fn shows(&self, number: u128) -> bool {
        self.presence.show(&self.backend, Uuid::from_u128(number)).await.is_some()
    }

    /// As if time had passed until all are due again.
    fn all_are_due_again(&self) {
        self.presence.members().values_mut().for_each(|members| members.renewed = None);
    }

    async fn members(&self, name: &str) -> usize {
        let record = self.backend.subscription(id(name)).await.unwrap();
        record.map_or(0, |record| record.members.len())
    }
}

fn id(name: &str) -> SubscriptionId {
    SubscriptionId::new(TenantId::DEFAULT, name)
}

fn request(member: Uuid) -> RenewRequest {
    let kept = Kept::new(Scope::of(&Filter::default()), Position::START, Vec::new());
    let create = (2, Position::START);
    RenewRequest::new(member, create, kept, Duration::from_secs(60))
}

fn renew(member: Uuid) -> SubscriptionChange {
    SubscriptionChange::Renew(request(member))
}

fn leave() -> SubscriptionChange {
    SubscriptionChange::Leave { member: MEMBER, reached: Vec::new() }
}

#[tokio::test]
async fn what_many_ask_for_at_once_is_one_call() {
    let scene = Scene::new();
    let names: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    for changed in join_all(names.iter().map(|name| scene.change(name, renew(MEMBER)))).await {
        assert_eq!(changed.unwrap().unwrap().members.len(), 1);
    }
    assert_eq!(scene.faulty.subscription_changes(), 1);
    assert!(scene.presence.queues().is_empty(), "nobody is at it any more");
    scene.change("1", leave()).await.unwrap();
    assert_eq!(scene.faulty.subscription_changes(), 2);
}

#[tokio::test]
async fn those_who_show_themselves_at_once_are_renewed_by_one_call() {
    let scene = Scene::new();
    join_all((1..=50).map(|number| scene.join(number, Duration::from_secs(60)))).await;
    let before = scene.faulty.subscription_changes();
    let shown = join_all((1..=50).map(|number| scene.shows(number))).await;
    assert!(shown.into_iter().all(|is_vouched_for| is_vouched_for));
    assert_eq!((scene.faulty.subscription_changes(), scene.faulty.presence_renewals()), (before, 1));
    assert!(!scene.shows(51).await, "nobody has asked for that one");
    assert_eq!(scene.faulty.presence_renewals(), 1);
}

/// The row of the presence is lost, the call fails, or somebody else has changed the subscription.
#[tokio::test]
async fn who_is_not_vouched_for_has_to_ask_for_himself() {
    let scene = Scene::new();
    scene.join(1, Duration::from_secs(60)).await;
    scene.join(2, Duration::from_secs(60)).await;
    scene.faulty.fail(1, Fault::Before);
    assert!(!scene.shows(1).await);
    assert!(scene.shows(1).await);
    scene.change("1", renew(Uuid::from_u128(9))).await.unwrap();
    scene.all_are_due_again();
    assert!(!scene.shows(1).await && scene.shows(2).await);
}

/// As most of many do where the machine is busy.
#[tokio::test]
async fn who_comes_late_takes_the_renewal_that_has_begun_when_he_was_due_already() {
    let (scene, lease) = (Scene::new(), Duration::from_secs(60));
    join_all((1..=50).map(|number| scene.join(number, lease))).await;
    for number in 1..=50 {
        assert!(scene.shows(number).await);
    }
    assert_eq!(scene.faulty.presence_renewals(), 1);
    scene.join(51, lease).await;
    assert!(scene.shows(51).await, "that one does not list it: there is another one");
    assert_eq!(scene.faulty.presence_renewals(), 2);
}

#[tokio::test]
async fn who_comes_while_a_renewal_is_under_way_takes_it_too() {
    let scene = Scene::new();
    join_all((1..=3).map(|number| scene.join(number, Duration::from_secs(60)))).await;
    let held = scene.faulty.hold_renewals().await;
    let late = async {
        while scene.faulty.presence_renewals() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        let mut late = Box::pin(scene.shows(2));
        assert!((&mut late).now_or_never().is_none());
        drop(held);
        late.await
    };
    let (first, late) = tokio::join!(scene.shows(1), late);
    assert!(first && late && scene.shows(3).await);
    assert_eq!(scene.faulty.presence_renewals(), 1);
}

/// He would take his leases to last though nobody has renewed them since they were due.
#[tokio::test]
async fn who_is_due_again_does_not_take_a_renewal_from_before_that() {
    let (scene, short) = (Scene::new(), Duration::from_millis(900));
    scene.join(1, Duration::from_secs(60)).await;
    scene.join(2, short).await;
    assert!(scene.shows(1).await);
    let due_again = scene.presence.renew_at(Instant::now(), short);
    tokio::time::sleep_until(due_again).await;
    assert!(scene.shows(2).await);
    assert_eq!(scene.faulty.presence_renewals(), 2);
    assert!(scene.shows(1).await);
    assert_eq!(scene.faulty.presence_renewals(), 2, "his leases last longer, and he is not due again");
}

#[tokio::test]
async fn who_shows_itself_no_more_is_taken_out_by_those_who_do() {
    let (scene, lease) = (Scene::new(), Duration::from_millis(50));
    scene.join(1, Duration::from_secs(60)).await;
    scene.join(2, lease).await;
    let joined = Instant::now();
    // Its leases would last for a minute by what the store knows.
    while joined.elapsed() <= lease {
        sleep(Duration::from_millis(5)).await;
    }
    assert!(scene.shows(1).await);
    let give_up = Instant::now() + Duration::from_secs(20);
    while scene.members("2").await > 0 {
        assert!(Instant::now() < give_up, "it is taken out");
        sleep(Duration::from_millis(1)).await;
    }
    assert!(!scene.shows(2).await);
    scene.join(2, lease).await;
    assert!(scene.shows(2).await);
    assert_eq!(scene.members("1").await, 1);
}

/// The answer was lost, and it was done late: see `members.rs`. All others ask for themselves, and renew the presence as they do.
#[tokio::test]
async fn one_that_hangs_and_was_taken_out_is_so_again_where_what_it_had_asked_for_is_done_late() {
    let (scene, lease) = (Scene::new(), Duration::from_millis(50));
    scene.join(1, Duration::from_secs(60)).await;
    scene.join(2, lease).await;
    let record = scene.backend.subscription(id("2")).await.unwrap().unwrap();
    let presence = record.members[0].vouched_for_by();
    assert!(presence.is_some());
    let is_busy_until_it_is_out = async || {
        let give_up = Instant::now() + Duration::from_secs(20);
        while scene.members("2").await > 0 {
            assert!(Instant::now() < give_up, "it is taken out");
            scene.join(1, Duration::from_secs(60)).await;
        }
    };
    is_busy_until_it_is_out().await;
    let late = RenewRequest { presence, ..request(Uuid::from_u128(2)) };
    scene.backend.change_subscription(id("2"), SubscriptionChange::Renew(late)).await.unwrap();
    assert_eq!(scene.members("2").await, 1);
    is_busy_until_it_is_out().await;
    assert_eq!(scene.members("1").await, 1);
}

/// All are silent for longer than their leases last, and one of them hangs.
#[tokio::test]
async fn who_shows_itself_once_its_process_goes_on_is_not_taken_out() {
    let (scene, lease) = (Scene::new(), Duration::from_millis(1_500));
    join_all((1..=3).map(|number| scene.join(number, lease))).await;
    std::thread::sleep(lease);
    assert!(scene.shows(1).await && scene.shows(2).await);
    let give_up = Instant::now() + Duration::from_secs(20);
    while scene.members("3").await > 0 {
        assert!(Instant::now() < give_up, "it is taken out");
        assert!(scene.shows(1).await && scene.shows(2).await);
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((scene.members("1").await, scene.members("2").await), (1, 1));
}

/// The store may be away for longer than its leases last.
#[tokio::test]
async fn who_has_asked_is_not_silent_until_the_store_has_answered() {
    let (scene, lease) = (Scene::new(), Duration::from_millis(50));
    scene.join(1, Duration::from_secs(60)).await;
    scene.join(2, lease).await;
    let mut asking = Box::pin(scene.change("2", renew(Uuid::from_u128(2))));
    assert!((&mut asking).now_or_never().is_none());
    std::thread::sleep(lease);
    let silent = || -> usize {
        let mut members = scene.presence.members();
        members.values_mut().map(|members| members.silent(Instant::now()).len()).sum()
    };
    assert_eq!(silent(), 0);
    asking.await.unwrap();
    assert_eq!(silent(), 1);
}

/// They may be many, and each call takes a connection from those who go on.
#[tokio::test]
async fn those_who_are_taken_out_at_once_are_so_by_one_call() {
    let (scene, lease) = (Scene::new(), Duration::from_millis(50));
    scene.join(1, Duration::from_secs(60)).await;
    join_all((2..=50).map(|number| scene.join(number, lease))).await;
    std::thread::sleep(lease);
    let before = scene.faulty.subscription_changes();
    assert!(scene.shows(1).await);
    let give_up = Instant::now() + Duration::from_secs(20);
    while scene.members("50").await > 0 {
        assert!(Instant::now() < give_up, "they are taken out");
        sleep(Duration::from_millis(1)).await;
    }
    assert!(scene.faulty.subscription_changes() - before < 10);
}

#[tokio::test]
async fn what_fails_for_all_is_asked_for_by_each() {
    let scene = Scene::new();
    scene.faulty.fail(1, Fault::Before);
    // The second of those that follow.
    scene.faulty.fail(3, Fault::Before);
    let changed = join_all(["1", "2", "3"].map(|name| scene.change(name, renew(MEMBER)))).await;
    assert_eq!(scene.faulty.subscription_changes(), 4);
    assert_eq!(changed.iter().filter(|changed| changed.is_ok()).count(), 2, "{changed:?}");
}

#[tokio::test]
async fn two_members_of_a_subscription_ask_one_after_the_other() {
    let scene = Scene::new();
    let changed = join_all([1, 2].map(|member| scene.change("1", renew(Uuid::from_u128(member))))).await;
    let members: Vec<_> =
        changed.into_iter().map(|changed| changed.unwrap().unwrap().members.len()).collect();
    assert_eq!((members, scene.faulty.subscription_changes()), (vec![1, 2], 2));
}

#[tokio::test]
async fn who_leaves_does_so_behind_the_renewal_that_is_under_way() {
    let scene = Scene::new();
    let mut renewing = Box::pin(join_all(["1", "2"].map(|name| scene.change(name, renew(MEMBER)))));
    assert!((&mut renewing).now_or_never().is_none());
    scene.change("1", leave()).await.unwrap();
    drop(renewing);
    assert_eq!((scene.members("1").await, scene.members("2").await), (0, 1));
}

#[tokio::test]
async fn what_is_given_up_before_it_is_begun_is_not_asked_for() {
    let scene = Scene::new();
    assert!(scene.change("1", renew(MEMBER)).now_or_never().is_none());
    scene.change("2", renew(MEMBER)).await.unwrap();
    assert_eq!((scene.members("1").await, scene.members("2").await), (0, 1));
}

#[test]
fn a_runtime_that_ends_leaves_nobody_waiting() {
    let scene = Scene::new();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = runtime();
    let mut asking = Box::pin(scene.change("1", renew(MEMBER)));
    ended.block_on(async { assert!((&mut asking).now_or_never().is_none()) });
    drop(ended);
    let changed = runtime().block_on(asking);
    assert_eq!(changed.unwrap().unwrap().members.len(), 1);
}

#[test]
fn leases_are_renewed_within_a_third_of_their_time_and_at_the_same_times() {
    let (presence, lease) = (Presence::default(), Duration::from_secs(6));
    let now = Instant::now();
    let times: Vec<_> = (0..40).map(|tenth| now + Duration::from_millis(100) * tenth).collect();
    for asked in &times {
        let renewed = presence.renew_at(*asked, lease);
        assert!(renewed > *asked && renewed <= *asked + lease / 3);
    }
    let renewed: std::collections::HashSet<_> =
        times.iter().map(|asked| presence.renew_at(*asked, lease)).collect();
    assert!(renewed.len() <= 3, "{renewed:?}");
}
