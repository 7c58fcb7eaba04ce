//! Names of more bytes than ours may have: PostgreSQL counts characters.

use event_sourcery::StreamId;
use event_sourcery::backend::{stored_stream_id, stored_tenant_id};
use reference::invoicing::{Paid, numbered, paid, payments};
use reference::{Expected, SharedDatabase as _, append, event, payments_in_python, with};
use serde_json::json;
use uuid::Uuid;

use super::postgres::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn names_of_more_bytes_than_ours_may_have_are_read() {
    let database = Postgres::create().await;
    let (mut python, rust) = database.both().await;
    let (name, category, tenant) = ("🧀".repeat(255), "ü".repeat(255), "t".repeat(255));
    assert!(StreamId::from_name(&name).is_err());
    let long = stored_stream_id(uuid_of(&name), Some(&name), &category);
    python.told(&with(append(&long, Expected::Version(0), &[event(&paid("1"))]), "tenant", tenant.as_str()));

    let tenants = rust.for_tenant(stored_tenant_id(&tenant));
    assert_eq!(payments(&tenants.load_stream(&long).await.unwrap()), numbered(1..=1));
    let mut all = rust.read_all::<Paid>().stream();
    let recorded = all.try_next().await.unwrap().unwrap();
    assert_eq!(recorded.stream_id, long);
    assert_eq!(recorded.stream_id.name(), Some(name.as_str()));
    assert_eq!(recorded.tenant_id.as_str(), tenant);

    // What was read can be worked on.
    tenants.append(&recorded.stream_id, paid("2")).expected_version(1).await.unwrap();
    let load = json!({"do": "load", "stream": {"name": name, "category": category}, "tenant": tenant});
    assert_eq!(payments_in_python(&python.loaded(&load)), numbered(1..=2));
}

/// The UUID that a name stands for, however long the name is.
fn uuid_of(name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::from_u128(0x3a24a3ee_d33d_4266_93ab_7d8e256a6d44), name.as_bytes())
}
