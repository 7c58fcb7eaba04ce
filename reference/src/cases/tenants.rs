//! Tenants: a stream of Python's is seen by its tenant's handle only, and the other way round.

use event_sourcery::backend::stored_tenant_id;
use event_sourcery::{Error, EventStore, Position, StreamId};
use serde_json::{Value, json};

use crate::invoicing::{Paid, paid, payments};
use crate::run::Database;
use crate::{Expected, append, event, payments_in_python, place, with};

const TENANTS: [&str; 3] = ["", "acme", "Bär & Söhne"];

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap()
}

fn handle(rust: &EventStore, tenant: &str) -> EventStore {
    rust.for_tenant(stored_tenant_id(tenant))
}

fn for_tenant(command: Value, tenant: &str) -> Value {
    if tenant.is_empty() { command } else { with(command, "tenant", tenant) }
}

fn one(tenant: &str) -> Vec<(String, Option<u64>)> {
    vec![(tenant.to_owned(), Some(1))]
}

pub(super) async fn each_handle_sees_the_streams_that_python_wrote_for_its_tenant(database: Database) {
    let (mut python, rust) = database.both().await;
    for tenant in TENANTS {
        python.told(&for_tenant(append(&stream(), Expected::Version(0), &[event(&paid(tenant))]), tenant));
    }

    for tenant in TENANTS {
        assert_eq!(payments(&handle(&rust, tenant).load_stream(&stream()).await.unwrap()), one(tenant));
    }
    assert!(handle(&rust, "nobody").load_stream::<Paid>(&stream()).await.unwrap().is_empty());
    let (mut all, mut seen) = (rust.read_all::<Paid>().stream(), Vec::new());
    while let Some(recorded) = all.try_next().await.unwrap() {
        seen.push((recorded.tenant_id.as_str().to_owned(), recorded.wrapped_event.event.number));
    }
    assert_eq!(seen, TENANTS.map(|tenant| (tenant.to_owned(), tenant.to_owned())));
}

pub(super) async fn each_tenant_of_pythons_sees_the_streams_that_rust_wrote_for_it(database: Database) {
    let (mut python, rust) = database.both().await;
    for tenant in TENANTS {
        handle(&rust, tenant).append(&stream(), paid(tenant)).await.unwrap();
    }

    for tenant in TENANTS {
        let load = for_tenant(json!({"do": "load", "stream": place(&stream())}), tenant);
        assert_eq!(payments_in_python(&python.loaded(&load)), one(tenant));
    }
    let records = python.subscribe(Position::START, 3);
    assert_eq!(records.iter().map(|record| record.tenant.as_str()).collect::<Vec<_>>(), TENANTS);
}

pub(super) async fn rust_appends_to_and_deletes_the_stream_of_its_tenant_only(database: Database) {
    let (mut python, rust) = database.both().await;
    for tenant in TENANTS {
        python.told(&for_tenant(append(&stream(), Expected::Version(0), &[event(&paid(tenant))]), tenant));
    }
    let acme = handle(&rust, "acme");
    acme.append(&stream(), paid("acme")).expected_version(1).await.unwrap();
    let refused = rust.append(&stream(), paid("?")).expected_version(2).await;
    assert!(matches!(refused, Err(Error::Conflict { actual: 1, .. })), "{refused:?}");

    acme.delete_stream(&stream()).await.unwrap();

    let left = TENANTS.map(|tenant| {
        let load = for_tenant(json!({"do": "load", "stream": place(&stream())}), tenant);
        python.loaded(&load).len()
    });
    assert_eq!(left, [1, 0, 1]);
}

/// The reference's append to a tenant's stream bumps the rows of all tenants that are at the same version.
pub(super) async fn rust_is_not_led_astray_by_an_append_of_pythons_that_bumped_another_tenants_row(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    let two = [event(&paid("1")), event(&paid("2"))];
    python.create(&stream(), &two[..1]);
    python.told(&for_tenant(append(&stream(), Expected::Version(0), &two), "acme"));

    // Wrong for the default tenant's stream, which is at 1; right for the row that it must not look at.
    python.append(&stream(), Expected::Version(2), &two[..1]).unwrap();
    let rows = "SELECT CAST(version AS TEXT) FROM event_sourcery_streams ORDER BY tenant_id";
    assert_eq!(database.texts(rows), ["1", "3"]);

    let versions: Vec<_> =
        rust.load_stream::<Paid>(&stream()).await.unwrap().iter().map(|event| event.version).collect();
    assert_eq!(versions, [Some(1), Some(3)], "version 2 was never written");
    rust.append(&stream(), paid("4")).expected_version(3).await.unwrap();
    handle(&rust, "acme").append(&stream(), paid("3")).expected_version(2).await.unwrap();
    assert_eq!(database.texts(rows), ["4", "3"]);
}
