//! A store that has something in it, and the program beside it.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use event_sourcery::jiff::Timestamp;
use event_sourcery::uuid::Uuid;
use event_sourcery::{Context, Event as _, EventStore, NewEvent, RawEvent, StreamId, TenantId};
use event_sourcery_sqlite::SqliteBackend;
use serde_json::Value;
use tempfile::TempDir;

/// The correlation id of everything about order 1003.
pub(crate) const REQUEST: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_1003);

/// The program, on a store at this address, in this folder. Nobody sits before it.
pub(crate) fn program(folder: &Path, url: &str) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_event-sourcery"));
    program.current_dir(folder).env("EVENT_SOURCERY_URL", url).stdin(Stdio::null());
    program
}

/// What it printed, and nothing went wrong.
#[track_caller]
pub(crate) fn printed(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A file in a folder of its own.
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
}

impl Scene {
    /// A store in which order 1003 was placed and paid, and its invoice issued because of that; whose letters fail on the payment;
    /// and in which another tenant has an order.
    pub(crate) async fn new() -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        fill(&EventStore::new(scene.backend().await).erased()).await;
        scene
    }

    pub(crate) async fn backend(&self) -> SqliteBackend {
        SqliteBackend::open(self.folder.path().join("orders.db")).await.unwrap()
    }

    pub(crate) fn program(&self) -> Command {
        program(self.folder.path(), "sqlite:orders.db")
    }

    /// Runs it with these arguments, which have no spaces in them.
    pub(crate) fn run(&self, arguments: &str) -> Output {
        self.program().args(arguments.split_whitespace()).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn printed(&self, arguments: &str) -> String {
        printed(&self.run(arguments))
    }

    #[track_caller]
    pub(crate) fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&printed(&self.run(&format!("{arguments} --json")))).unwrap()
    }

    /// What it complains about, with this exit code.
    #[track_caller]
    pub(crate) fn refused(&self, arguments: &str, code: i32) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(output.stdout.is_empty() && !errors.contains("panicked"), "{errors}");
        errors
    }

    /// The id of the newest event of this type.
    #[track_caller]
    pub(crate) fn id_of(&self, name: &str) -> String {
        let found = self.json(&format!("search --name {name} --limit 1"));
        found["items"][0]["id"].as_str().unwrap().to_owned()
    }
}

/// See [`Scene::new`].
pub(crate) async fn fill(store: &EventStore) {
    let order = StreamId::from_name("orders/1003").unwrap();
    let invoice = StreamId::from_name("invoices/77").unwrap().in_category("invoices").unwrap();
    let request = store.with_context(Context::new().with_correlation_id(REQUEST));
    let placed = event(1, "Placed", r#"{"cents": 700}"#);
    request.append(&order, [placed, event(2, "Paid", "{}")]).await.unwrap();
    let paid = &store.load_stream::<RawEvent>(&order).await.unwrap()[1];
    store.caused_by(paid).append(&invoice, event(3, "Issued", "{}")).await.unwrap();
    let acme = store.for_tenant(TenantId::new("acme").unwrap());
    acme.append(&order, event(4, "Placed", "{}")).await.unwrap();
    park(store).await;
}

/// An event with an id and a time of its own, the same in every run.
fn event(number: i64, name: &'static str, data: &str) -> NewEvent<RawEvent> {
    let id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number.unsigned_abs()));
    let at = Timestamp::from_second(1_796_094_000 + number).unwrap();
    RawEvent::new(name, data).unwrap().with_id(id).with_created_at(at)
}

/// The letters about payments fail.
async fn park(store: &EventStore) {
    let letters = || store.subscribe::<RawEvent>().event_names(["Paid"]).durable("letters").attempts(1);
    let watched = store.subscribe::<RawEvent>().event_names(["Paid"]).durable("letters");
    let is_parked = async move {
        while watched.parked().await.map_or(0, |parked| parked.len()) < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    letters().until(is_parked).run(async |_, _| Err("the printer is out of paper".into())).await.unwrap();
}

/// What stands under this name in each item of a listing.
pub(crate) fn each<'v>(listing: &'v Value, name: &str) -> Vec<&'v Value> {
    listing["items"].as_array().unwrap().iter().map(|item| &item[name]).collect()
}
