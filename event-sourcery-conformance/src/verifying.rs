//! Clause 12.2: a dry run tells what is not decoded, before it is.

use std::time::Duration;

use event_sourcery::{Error, Position, RawEvent};
use tokio::time::timeout;

use super::ledger::{Ledgers as _, category, ledger, tenant};
use super::subject::Subject;
use super::upcasting::{Historic as _, Paid, paid};

pub(super) async fn clause_12_2_a_dry_run_finds_what_is_not_decoded_and_changes_nothing(subject: Subject) {
    let store = subject.store();
    store.with_history().await;
    assert!(store.verify::<Paid>().await.unwrap().is_clean());
    let broken = RawEvent::new("noted", r#"{"number":1}"#).unwrap();
    let newer = RawEvent::new("noted", "{}").unwrap().with_schema_version(4);
    let unknown = RawEvent::new("other", "{}").unwrap();
    let acme = store.for_tenant(tenant("acme"));
    let red = ledger("2").in_category("red").unwrap();
    let appended = acme.append(&red, (paid(1), broken, newer, unknown)).await.unwrap();
    store.settled(appended.position).await;
    let before = store.records_after(Position::START).await;

    let found = store.verify::<Paid>().describe(2).await.unwrap();
    assert_eq!((found.read(), found.failed(), found.is_clean()), (10, 3, false));
    let counts = |name: &str, version| {
        found.forms.get(&(name.to_owned(), version)).map(|form| (form.read, form.failed))
    };
    assert_eq!(counts("noted", 1), Some((2, 1)));
    assert_eq!(counts("noted", 4), Some((1, 1)));
    assert_eq!(counts("other", 1), Some((1, 1)));
    assert_eq!(counts("paid in cash", 2), Some((1, 0)));
    assert_eq!(found.up_to, before.last().unwrap().position);
    let [first, second] = &found.failures[..] else { panic!("described are {:?}", found.failures) };
    assert_eq!((&*first.name, first.schema_version, first.version), ("noted", 1, Some(2)));
    assert_eq!((&first.stream_id, &first.tenant_id), (&red, &tenant("acme")));
    assert_eq!((first.position, first.uuid), (before[7].position, before[7].wrapped_event.uuid));
    assert!(matches!(first.problem, Error::InvalidEvent { .. }), "{first:?}");
    assert!(matches!(second.problem, Error::NewerForm { found: 4, known: 3, .. }), "{second:?}");

    assert_eq!(store.verify::<Paid>().known_names().await.unwrap().failed(), 2);
    assert_eq!(store.verify::<Paid>().category(category("red")).await.unwrap().read(), 4);
    assert_eq!(store.verify::<Paid>().after(first.position).await.unwrap().read(), 2);
    assert_eq!(acme.verify::<Paid>().await.unwrap().read(), 4);
    assert_eq!(store.for_tenant(tenant("nobody")).verify::<Paid>().await.unwrap().read(), 0);
    assert_eq!(store.records_after(Position::START).await, before);
}

pub(super) async fn clause_12_2_a_dry_run_reads_more_than_a_page(subject: Subject) {
    let store = subject.store();
    let old =
        |number: u64| RawEvent::new("noted", format!(r#"{{"number":{number},"euros":{number}}}"#)).unwrap();
    let appended = store.append(&ledger("1"), (1..=1_300).map(old).collect::<Vec<_>>()).await.unwrap();
    store.settled(appended.position).await;
    let found = timeout(Duration::from_secs(60), store.verify::<Paid>()).await.unwrap().unwrap();
    assert_eq!((found.read(), found.failed()), (1_300, 0));
}
