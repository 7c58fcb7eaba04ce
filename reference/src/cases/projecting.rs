//! Read models: a projector in Rust goes on where one in Python has stopped.

use event_sourcery::{EventStore, Position, Projector, RawEvent, Recorded, StreamId, TenantId, Version};
use serde_json::json;

use crate::invoicing::paid;
use crate::run::Database;
use crate::{Expected, Python, append, event, place, with};

const REVENUE: &str = "revenue";

fn streams() -> [StreamId; 2] {
    let named = StreamId::from_name("invoices/1003").unwrap();
    [named.clone(), named.in_category("invoices").unwrap()]
}

/// The event of a version, as a subscription hands it over.
async fn recorded(store: &EventStore, stream: &StreamId, version: Version) -> Recorded<RawEvent> {
    loop {
        let mut events = store.read_all::<RawEvent>().after(Position::START).stream();
        while let Some(recorded) = events.try_next().await.unwrap() {
            let is_wanted = recorded.stream_id == *stream && recorded.tenant_id == *store.tenant_id();
            if is_wanted && recorded.wrapped_event.version == Some(version) {
                return recorded;
            }
        }
    }
}

/// What the read model in Rust is given.
async fn projected(
    database: &Database,
    store: &EventStore,
    stream: &StreamId,
    version: Version,
) -> Vec<String> {
    database.project(REVENUE, recorded(store, stream, version).await).await
}

/// What the read model in Python is given.
fn projected_in_python(python: &mut Python, stream: &StreamId, version: Version) -> Vec<Version> {
    let project = json!({"do": "project", "stream": place(stream), "projector": REVENUE, "version": version});
    serde_json::from_value(python.told(&project)).unwrap()
}

fn cursors(database: &Database) -> Vec<String> {
    database.rows().remove("event_sourcery_projector_cursors").unwrap()
}

pub(super) async fn rust_goes_on_behind_the_cursor_that_python_has_left_and_leaves_it(database: Database) {
    let (mut python, rust) = database.both().await;
    for stream in streams() {
        python.create(&stream, &["1", "2", "3"].map(|number| event(&paid(number))));
        assert_eq!(projected_in_python(&mut python, &stream, 3), [1, 2, 3]);
        python.append(&stream, Expected::Version(3), &["4", "5"].map(|number| event(&paid(number)))).unwrap();
        let before = cursors(&database);

        assert!(projected(&database, &rust, &stream, 2).await.is_empty(), "seen by Python");
        assert_eq!(projected(&database, &rust, &stream, 5).await, ["4", "5"]);
        assert!(projected(&database, &rust, &stream, 5).await.is_empty());

        assert_eq!(cursors(&database), before, "Python's cursors are Python's");
        assert_eq!(projected_in_python(&mut python, &stream, 4), [4]);
        assert!(projected(&database, &rust, &stream, 5).await.is_empty(), "from then on Rust's own counts");
    }
}

pub(super) async fn rust_begins_with_the_next_event_behind_pythons_cursor(database: Database) {
    let (mut python, rust) = database.both().await;
    for stream in streams() {
        python.create(&stream, &["1", "2", "3"].map(|number| event(&paid(number))));
        projected_in_python(&mut python, &stream, 2);
        assert_eq!(projected(&database, &rust, &stream, 3).await, ["3"]);
    }
}

pub(super) async fn pythons_cursors_count_for_the_default_tenant(database: Database) {
    let (mut python, rust) = database.both().await;
    let acme = rust.for_tenant(TenantId::new("acme").unwrap());
    for stream in streams() {
        let create = append(&stream, Expected::Version(0), &[event(&paid("1")), event(&paid("2"))]);
        python.told(&with(create, "tenant", "acme"));
        python
            .told(&json!({"do": "put_cursor", "stream": place(&stream), "projector": REVENUE, "version": 1}));
        assert_eq!(projected(&database, &acme, &stream, 2).await, ["anew", "1", "2"]);
    }
}

pub(super) async fn a_cursor_of_pythons_that_the_stream_has_not_reached_counts_for_nothing(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    for stream in streams() {
        rust.append(&stream, [paid("1"), paid("2"), paid("3")]).await.unwrap();
        python
            .told(&json!({"do": "put_cursor", "stream": place(&stream), "projector": REVENUE, "version": 9}));
        assert_eq!(projected(&database, &rust, &stream, 2).await, ["anew", "1", "2"]);
        assert_eq!(projected(&database, &rust, &stream, 3).await, ["3"]);
    }
}

/// The reference's cursors know no tenant: it may be about the other's stream.
pub(super) async fn a_cursor_of_pythons_counts_for_nothing_where_another_tenant_has_a_stream_of_that_id(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    let acme = rust.for_tenant(TenantId::new("acme").unwrap());
    for stream in streams() {
        let two = [event(&paid("1")), event(&paid("2"))];
        python.told(&with(append(&stream, Expected::Version(0), &two), "tenant", "acme"));
        python
            .told(&json!({"do": "put_cursor", "stream": place(&stream), "projector": REVENUE, "version": 2}));
        rust.append(&stream, [paid("1"), paid("2"), paid("3")]).await.unwrap();
        if stream.category().is_none() {
            assert_eq!(projected(&database, &acme, &stream, 2).await, ["anew", "1", "2"]);
        } else {
            // It is not known whose it was, and the other is gone.
            acme.delete_stream(&stream).await.unwrap();
        }
        assert_eq!(projected(&database, &rust, &stream, 3).await, ["anew", "1", "2", "3"]);
    }
}

pub(super) async fn a_cursor_of_pythons_counts_no_more_once_the_projector_is_forgotten(database: Database) {
    let (mut python, rust) = database.both().await;
    for (stream, is_begun) in streams().into_iter().zip([true, false]) {
        python.create(&stream, &["1", "2", "3"].map(|number| event(&paid(number))));
        projected_in_python(&mut python, &stream, 2);
        if is_begun {
            assert_eq!(projected(&database, &rust, &stream, 3).await, ["3"]);
        }
    }
    let before = cursors(&database);
    for _ in 0..2 {
        Projector::new(REVENUE).unwrap().forget(&rust).await.unwrap();
    }
    assert_eq!(cursors(&database), before, "Python's cursors are Python's");
    for stream in streams() {
        assert_eq!(projected(&database, &rust, &stream, 3).await, ["anew", "1", "2", "3"]);
        assert!(projected(&database, &rust, &stream, 3).await.is_empty());
    }
}

pub(super) async fn a_stream_that_python_deleted_and_made_anew_is_projected_anew(database: Database) {
    let (mut python, rust) = database.both().await;
    for stream in streams() {
        for (old, new, fed) in [(3, 1, 1), (3, 3, 3), (2, 5, 5), (3, 5, 2)] {
            let payments = |count: u32| (0..count).map(|_| event(&paid("any"))).collect::<Vec<_>>();
            python.create(&stream, &payments(old));
            projected(&database, &rust, &stream, u64::from(old)).await;
            python.delete(&stream);
            python.create(&stream, &payments(new));

            let versions: Vec<_> = (1..=fed).map(|version: u64| version.to_string()).collect();
            let handed = projected(&database, &rust, &stream, fed).await;
            assert_eq!((handed[0].as_str(), &handed[1..]), ("anew", &versions[..]), "{old}, {new}, {fed}");
            rust.delete_stream(&stream).await.unwrap();
        }
    }
}

/// The reference's cursors know no tenant: they stay as long as another tenant has a stream of that id.
pub(super) async fn a_cursor_of_pythons_counts_no_more_once_rust_has_deleted_the_stream(database: Database) {
    let (mut python, rust) = database.both().await;
    let acme = rust.for_tenant(TenantId::new("acme").unwrap());
    for stream in streams() {
        acme.append(&stream, paid("other")).await.unwrap();
        python.create(&stream, &["1", "2", "3"].map(|number| event(&paid(number))));
        projected_in_python(&mut python, &stream, 3);
        let before = cursors(&database);

        rust.delete_stream(&stream).await.unwrap();

        assert_eq!(cursors(&database), before);
        rust.append(&stream, [paid("1"), paid("2"), paid("3"), paid("4")]).await.unwrap();
        assert_eq!(projected(&database, &rust, &stream, 2).await, ["anew", "1", "2"]);
        acme.delete_stream(&stream).await.unwrap();
        rust.delete_stream(&stream).await.unwrap();
        assert!(cursors(&database).is_empty());
    }
}

pub(super) async fn a_cursor_of_pythons_counts_although_a_tenant_deletes_such_a_stream_that_it_does_not_have(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    let acme = rust.for_tenant(TenantId::new("acme").unwrap());
    for stream in streams() {
        python.create(&stream, &["1", "2", "3"].map(|number| event(&paid(number))));
        projected_in_python(&mut python, &stream, 2);
        let before = cursors(&database);

        acme.delete_stream(&stream).await.unwrap();

        assert_eq!(cursors(&database), before);
        assert_eq!(projected(&database, &rust, &stream, 3).await, ["3"]);
    }
}

/// A deletion that finds no stream leaves no cursor either: the reference's neither, which would count again for a new stream.
pub(super) async fn a_cursor_of_pythons_counts_no_more_however_often_rust_deletes_the_stream(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    let acme = rust.for_tenant(TenantId::new("acme").unwrap());
    let five = ["1", "2", "3", "4", "5"];
    for stream in streams() {
        for (has_namesake, is_deleted_by_python) in
            [(true, true), (true, false), (false, true), (false, false)]
        {
            python.create(&stream, &["1", "2", "3"].map(|number| event(&paid(number))));
            projected_in_python(&mut python, &stream, 3);
            assert!(projected(&database, &rust, &stream, 3).await.is_empty());
            if is_deleted_by_python {
                python.delete(&stream);
            }
            if has_namesake {
                acme.append(&stream, paid("other")).await.unwrap();
            }
            for _ in 0..3 {
                rust.delete_stream(&stream).await.unwrap();
                assert_eq!(cursors(&database).is_empty(), !has_namesake);
            }
            if has_namesake {
                python.delete(&stream);
            }

            rust.append(&stream, five.map(paid)).await.unwrap();
            let handed = projected(&database, &rust, &stream, 5).await;
            assert_eq!((handed[0].as_str(), &handed[1..]), ("anew", &five.map(str::to_owned)[..]));
            rust.delete_stream(&stream).await.unwrap();
            assert!(cursors(&database).is_empty());
        }
    }
}
