//! Roles that have the rights that are printed for them, and no others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use event_sourcery::backend::{Backend as _, OldKeysRequest, RewrapRequest, WrappedKey};
use event_sourcery::{
    Error, Event as _, EventStore, Position, Projector, Query, QueryItem, RawEvent, StreamId, Tag, TenantId,
};
use event_sourcery_postgres::{PostgresBackend, Rights};

use crate::keys::{asked, create, new_keys, sealed, shredding};
use crate::scene::{Scene, Store, event, until};

/// A role of the test's own. It is dropped by the test that made it.
struct Role {
    name: String,
    scene: Scene,
}

impl Role {
    async fn with(rights: Rights) -> Self {
        let scene = Scene::new().await;
        let name = format!("role_{}", scene.database.name());
        scene.run(&format!("CREATE ROLE {name} LOGIN")).await;
        let role = Self { name, scene };
        role.grant(rights).await;
        role
    }

    async fn grant(&self, rights: Rights) {
        let owner = PostgresBackend::options(self.scene.database.url());
        self.scene.run(&owner.grants(&self.name, rights).await.unwrap()).await;
    }

    fn url(&self) -> String {
        self.scene.database.url().replace("//postgres@", &format!("//{}@", self.name))
    }

    async fn try_open(&self) -> Result<Store, Error> {
        Ok(EventStore::new(PostgresBackend::options(self.url()).migrate(false).open().await?))
    }

    async fn open(&self) -> Store {
        self.try_open().await.unwrap()
    }

    async fn drop(self) {
        self.scene.run(&format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name)).await;
    }
}

async fn handle_once(store: &Store, name: &str) -> Result<(), Error> {
    let handled = Arc::new(AtomicUsize::new(0));
    let (seen, done) = (Arc::clone(&handled), Arc::clone(&handled));
    let durable = store.subscribe::<RawEvent>().durable(name);
    let until_one = until(async move || done.load(Ordering::Relaxed) > 0);
    durable
        .until(until_one)
        .run(async move |_, _| {
            seen.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
        .await
}

fn missing(refused: &Error) -> (&str, &str) {
    let Error::MissingGrant { problem, grant } = refused else { panic!("{refused:?}") };
    assert!(!refused.is_retryable());
    (problem, grant)
}

#[tokio::test]
async fn whatever_the_names_hold_a_role_gets_its_rights_and_is_told_which_one_it_lacks() {
    let (role, stream) = (Role::with(Rights::Reader).await, StreamId::random());
    let options = |url| PostgresBackend::options(url).schema("{events}").table_prefix("{streams} \"ü' ");
    let owner = options(role.scene.database.url());
    let store = EventStore::new(owner.clone().open().await.unwrap());
    store.append(&stream, event()).await.unwrap();
    role.scene.run(&owner.grants(&role.name, Rights::Reader).await.unwrap()).await;
    let reader = EventStore::new(options(role.url()).migrate(false).open().await.unwrap());
    assert_eq!(reader.load_stream::<RawEvent>(&stream).await.unwrap().len(), 1);
    let refused = reader.append(&stream, event()).expected_version(1).await.unwrap_err();
    let (_, grant) = missing(&refused);
    assert!(grant.contains(r#"ON "{events}"."{streams} ""ü' "#), "{grant}");
    role.scene.run(grant).await;
    role.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_reads_and_follows_and_is_told_which_right_a_write_would_need() {
    let role = Role::with(Rights::Reader).await;
    let stream = StreamId::random();
    role.scene.store.append(&stream, event()).await.unwrap();
    role.scene.store.save_snapshot(&stream, 1, event()).await.unwrap();
    handle_once(&role.scene.store, "revenue").await.unwrap();
    let keys = create(role.scene.store.backend(), &["alice"]).await;
    let reader = role.open().await;
    assert_eq!(reader.backend().keys(asked(&["alice"])).await.unwrap(), keys, "it may decrypt");
    assert_eq!(reader.load_stream::<RawEvent>(&stream).await.unwrap().len(), 1);
    assert_eq!(reader.position().await.unwrap().to_i64(), 1);
    assert!(reader.read_all::<RawEvent>().stream().try_next().await.unwrap().is_some());
    let mut live = reader.subscribe::<RawEvent>().after(Position::START).stream();
    assert!(live.try_next().await.unwrap().is_some());
    assert!(reader.subscribe::<RawEvent>().durable("revenue").status().await.unwrap().is_some());
    let owner = PostgresBackend::options(role.scene.database.url());
    let grants = owner.grants(&role.name, Rights::Application).await.unwrap();
    for (refused, about) in [
        (reader.append(&StreamId::random(), event()).await.map(drop), ""),
        (reader.append(&stream, event()).expected_version(1).await.map(drop), ""),
        (reader.delete_stream(&stream).await, "event_sourcery_events"),
        (reader.save_snapshot(&stream, 1, event()).await, "event_sourcery_snapshots"),
        (handle_once(&reader, "costs").await, "event_sourcery_subscription_segments"),
        (reader.backend().create_keys(new_keys(&["bob"])).await.map(drop), "event_sourcery_subject_keys"),
        (reader.backend().append(shredding(&["alice"])).await.map(drop), "event_sourcery_events"),
    ] {
        let refused = refused.unwrap_err();
        let (problem, grant) = missing(&refused);
        assert!(grants.lines().any(|line| line.trim_end_matches(';') == grant), "{problem}: {grant}");
        assert!(grant.contains(about) && grant.contains("INSERT"), "{problem}: {grant}");
    }
    role.drop().await;
}

/// What is printed is enough to go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_read_is_told_what_to_grant_when_the_store_is_opened() {
    let role = Role::with(Rights::Reader).await;
    role.scene.store.append(&StreamId::random(), event()).await.unwrap();
    role.scene.run(&format!("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {0}; REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {0}", role.name)).await;
    let refused = role.try_open().await.unwrap_err();
    let (_, grants) = missing(&refused);
    role.scene.run(grants).await;
    assert_eq!(role.open().await.position().await.unwrap().to_i64(), 1);

    role.scene
        .run(&format!(
            "REVOKE ALL ON SCHEMA public FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM {}",
            role.name
        ))
        .await;
    let of_schema = || PostgresBackend::options(role.url()).schema("public").migrate(false);
    let refused = of_schema().open().await.unwrap_err();
    let (_, grants) = missing(&refused);
    role.scene.run(grants).await;
    of_schema().open().await.unwrap();
    role.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_level_security_that_applies_to_the_role_is_refused_and_can_be_lifted() {
    let role = Role::with(Rights::Application).await;
    role.scene.run("ALTER TABLE event_sourcery_events ENABLE ROW LEVEL SECURITY").await;
    let refused = role.try_open().await.unwrap_err();
    let (problem, grant) = missing(&refused);
    assert!(problem.contains("row-level security") && grant.contains("BYPASSRLS"), "{refused}");
    role.scene.run(&format!("ALTER ROLE {} BYPASSRLS", role.name)).await;
    let store = role.open().await;
    store.append(&StreamId::random(), event()).await.unwrap();

    // Switched on while the store is open.
    role.scene.run(&format!("ALTER ROLE {} NOBYPASSRLS", role.name)).await;
    role.scene.run("ALTER TABLE event_sourcery_events DISABLE ROW LEVEL SECURITY").await;
    let store = role.open().await;
    store.append(&StreamId::random(), event()).await.unwrap();
    role.scene.run("ALTER TABLE event_sourcery_events ENABLE ROW LEVEL SECURITY").await;
    let refused = store.append(&StreamId::random(), event()).await.unwrap_err();
    let (problem, grant) = missing(&refused);
    assert!(problem.contains("row-level security") && grant.contains("BYPASSRLS"), "{refused}");
    drop(store);
    role.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_acts_as_another_has_the_rights_of_that_one() {
    let role = Role::with(Rights::Application).await;
    let login = format!("login_{}", role.scene.database.name());
    role.scene
        .run(&format!(
            "CREATE ROLE {login} LOGIN IN ROLE {0}; ALTER ROLE {login} SET role TO '{0}'",
            role.name
        ))
        .await;
    let url = role.scene.database.url().replace("//postgres@", &format!("//{login}@"));
    let store = EventStore::new(PostgresBackend::options(url).migrate(false).open().await.unwrap());
    let stream = StreamId::random();
    store.append(&stream, event()).await.unwrap();
    handle_once(&store, "revenue").await.unwrap();
    store.delete_stream(&stream).await.unwrap();
    drop(store);
    role.scene.run(&format!("DROP ROLE {login}")).await;
    role.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migrator_makes_the_tables_and_an_application_is_told_that_it_may_not() {
    let role = Role::with(Rights::Application).await;
    // Another store, in a schema of its own.
    role.scene.run("CREATE SCHEMA billing").await;
    let billing = || PostgresBackend::options(role.url()).schema("billing");
    role.scene.run(&format!("GRANT USAGE ON SCHEMA billing TO {}", role.name)).await;
    let refused = billing().open().await.unwrap_err();
    assert!(missing(&refused).1.contains("Rights::Migrator"), "{refused}");
    role.scene.run(&format!("GRANT CREATE ON SCHEMA billing TO {}", role.name)).await;
    billing().open().await.unwrap();

    let owner = PostgresBackend::options(role.scene.database.url());
    let grants = owner.grants(&role.name, Rights::Migrator).await.unwrap();
    role.scene.run("DROP TABLE event_sourcery_outbox_of_deleted; UPDATE event_sourcery_layout SET version = 3; ALTER TABLE event_sourcery_layout DROP CONSTRAINT event_sourcery_layout_pkey").await;
    let refused = PostgresBackend::options(role.url()).open().await.unwrap_err();
    missing(&refused);
    let without_the_dropped: Vec<_> =
        grants.lines().filter(|line| !line.contains("outbox_of_deleted")).collect();
    role.scene.run(&without_the_dropped.join("\n")).await;
    PostgresBackend::options(role.url()).open().await.unwrap();
    role.scene.run("DROP SCHEMA billing CASCADE").await;
    role.scene.run(&format!("REASSIGN OWNED BY {} TO postgres", role.name)).await;
    role.drop().await;
}

/// A key is given, read, wrapped anew, held by an append, and shredded.
async fn use_keys(backend: &PostgresBackend, subject: &str) -> Result<(), Error> {
    let keys = backend.create_keys(new_keys(&[subject])).await?;
    backend.keys(asked(&[subject])).await?;
    let again = WrappedKey::new("second".into(), [1_u8].as_slice().into());
    for key in &keys {
        backend.rewrap_key(RewrapRequest::new(TenantId::DEFAULT, key.clone(), again.clone())).await?;
    }
    backend.old_keys(OldKeysRequest::new("third".into(), 1)).await?;
    backend.append(sealed(1, &keys)).await?;
    backend.append(shredding(&[subject])).await.map(drop)
}

/// A call of each kind. What is told only in the log (states, the directory, the record of what is settled) has no answer here.
async fn use_everything(store: &Store, number: usize) -> Result<(), Error> {
    let stream = StreamId::random().in_category("invoices")?;
    store.append(&stream, event()).await?;
    store.append(&stream, vec![event(), event()]).expected_version(1).await?;
    store.append(&StreamId::random(), event()).and(&StreamId::random(), event()).await?;
    store.clone().with_outbox(|_| true)?.append(&StreamId::random(), event()).await?;
    let tag = Tag::new("number", number)?;
    store.append(&StreamId::random(), event().with_tags(vec![tag.clone()])).await?;
    store.read::<RawEvent>(&QueryItem::new().tagged(tag).into()).await?;
    store.read::<RawEvent>(&Query::all()).await?;
    use_keys(store.backend(), &stream.uuid().to_string()).await?;
    store.save_snapshot(&stream, 2, event()).await?;
    store.load_stream::<RawEvent>(&stream).await?;
    handle_once(store, &format!("revenue {number}")).await?;
    let name = format!("costs {number}");
    store.position().await?;
    let mut everything = store.read_all::<RawEvent>().stream();
    let recorded = everything.try_next().await?;
    if let Some(recorded) = recorded.filter(|recorded| recorded.wrapped_event.version.is_some()) {
        let mut transaction = store.backend().begin().await?;
        let mut projection = Projector::new(name)?.project(recorded);
        while projection.next_joined(store, &mut transaction).await?.is_some() {}
        transaction.commit().await?;
    }
    store.delete_stream(&stream).drop_outbox().await?;
    store.delete_stream(&stream).await
}

/// Taken away one by one: either the call says which right it misses, or it goes without.
#[tokio::test(flavor = "multi_thread")]
async fn each_right_of_an_application_that_is_missing_is_named() {
    let role = Role::with(Rights::Application).await;
    let store = role.open().await;
    use_everything(&store, 0).await.unwrap();
    let owner = PostgresBackend::options(role.scene.database.url());
    let grants = owner.grants(&role.name, Rights::Application).await.unwrap();
    let mut not_missed = Vec::new();
    for (number, grant) in (1..).zip(grants.lines().filter(|line| !line.contains(" SCHEMA "))) {
        let (rights, on) = grant.strip_prefix("GRANT ").unwrap().split_once(" ON ").unwrap();
        let (object, _) = on.split_once(" TO ").unwrap();
        for right in rights.split(", ") {
            role.scene.run(&format!("REVOKE {right} ON {object} FROM {}", role.name)).await;
            match use_everything(&store, number).await {
                Ok(()) => not_missed.push(format!("{right} ON {}", object.rsplit('.').next().unwrap())),
                Err(refused) => {
                    let (problem, named) = missing(&refused);
                    // Whether a name needs its quotes is told in different ways.
                    let [grant, named] = [grant, named].map(|text| text.replace('"', ""));
                    let is_told = named.contains("PostgresOptions::grants") || grant.starts_with(&named);
                    assert!(is_told, "{right} on {object}: {problem}: {named}");
                }
            }
            role.scene.run(grant).await;
        }
    }
    assert_eq!(not_missed, NOT_MISSED);
    drop(store);
    role.drop().await;
}

/// What goes without in [`use_everything`]: what is made behind the calls, what is needed where a store is opened, and what
/// only a failed event, or a subscription that is removed, would need.
const NOT_MISSED: [&str; 21] = [
    "UPDATE ON event_sourcery_settled",
    "INSERT ON event_sourcery_evidence",
    "UPDATE ON event_sourcery_evidence",
    "DELETE ON event_sourcery_subscriptions",
    "DELETE ON event_sourcery_subscription_segments",
    "INSERT ON event_sourcery_blocked_streams",
    "SELECT ON event_sourcery_blocked_entries",
    "INSERT ON event_sourcery_blocked_entries",
    "DELETE ON event_sourcery_blocked_entries",
    "SELECT ON event_sourcery_event_blocks",
    "INSERT ON event_sourcery_event_blocks",
    "SELECT ON event_sourcery_event_blocks_listed",
    "UPDATE ON event_sourcery_event_blocks_listed",
    "INSERT ON event_sourcery_aggregate_snapshots",
    "UPDATE ON event_sourcery_aggregate_snapshots",
    "SELECT ON event_sourcery_layout",
    "SELECT ON event_sourcery_streams_id_seq",
    "SELECT ON event_sourcery_outbox_entries_id_seq",
    "SELECT ON event_sourcery_blocked_streams_id_seq",
    "SELECT ON event_sourcery_tags_id_seq",
    "SELECT ON event_sourcery_stream_deletions_id_seq",
];
