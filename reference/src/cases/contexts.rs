//! Contexts, from one language to the other and back.

use event_sourcery::telemetry::TraceCarrier;
use event_sourcery::{Context, Event as _, RawEvent, StreamId};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::invoicing::{Paid, Request, paid};
use crate::run::Database;
use crate::{Expected, Python, append, event, place, with};

const CORRELATION: Uuid = Uuid::from_u128(0xc0de);
const CAUSATION: Uuid = Uuid::from_u128(0xcafe);

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

#[derive(Deserialize, Debug, PartialEq)]
struct User {
    id: u32,
    roles: Vec<String>,
}

fn user() -> User {
    User { id: 7, roles: vec!["clerk".to_owned(), "Prüfer".to_owned()] }
}

fn request() -> Request {
    Request { id: "r-17".to_owned(), retries: 2 }
}

/// A context with everything in it, as Python describes it. `user` and `trace` are keys that older writers put at the root.
fn everything() -> Value {
    json!({
        "correlation_id": CORRELATION,
        "causation_id": CAUSATION,
        "components": {"request": {"id": "r-17", "retries": 2}, "not_known_in_rust": {"a": [1, null]}},
        "user": {"id": 7, "roles": ["clerk", "Prüfer"]},
        "trace": "00-4bf9",
    })
}

fn written_by_python(python: &mut Python, context: Value) -> StreamId {
    let stream = StreamId::random();
    python.create(&stream, &[with(event(&paid("1")), "context", context)]);
    stream
}

pub(super) async fn ids_components_and_root_keys_of_pythons_are_read(database: Database) {
    let (mut python, rust) = database.both().await;
    let stream = written_by_python(&mut python, everything());

    let context = &rust.load_stream::<Paid>(&stream).await.unwrap()[0].context;

    assert_eq!(context.correlation_id(), Some(CORRELATION));
    assert_eq!(context.causation_id(), Some(CAUSATION));
    assert_eq!(context.component::<Request>().unwrap(), Some(request()));
    assert_eq!(context.root::<User>("user").unwrap(), Some(user()));
    assert_eq!(context.root::<String>("trace").unwrap().as_deref(), Some("00-4bf9"));
    assert_eq!(context.root::<String>("correlation_id").unwrap(), None, "it has a method of its own");
    assert!(context.root::<u32>("trace").is_err());
}

pub(super) async fn a_context_that_is_appended_again_keeps_what_rust_knows_nothing_of(database: Database) {
    let (mut python, rust) = database.both().await;
    let stream = written_by_python(&mut python, everything());
    let read = rust.load_stream::<Paid>(&stream).await.unwrap();

    rust.append(&stream, paid("2").with_context(read[0].context.clone())).expected_version(1).await.unwrap();

    let contexts: Vec<Value> = python.load(&stream).into_iter().map(|event| event.context).collect();
    assert_eq!(contexts, [everything(), everything()]);
}

pub(super) async fn an_empty_context_is_empty_in_both(database: Database) {
    let (mut python, rust) = database.both().await;
    let stream = written_by_python(&mut python, json!({}));
    rust.append(&stream, paid("2")).expected_version(1).await.unwrap();

    let ours = rust.load_stream::<Paid>(&stream).await.unwrap();
    let theirs = python.load(&stream);

    assert!(ours.iter().all(|event| event.context == Context::new()));
    let empty = json!({"correlation_id": null, "causation_id": null, "components": {}});
    assert!(theirs.iter().all(|event| event.context == empty), "{theirs:?}");
}

pub(super) async fn what_rust_puts_into_a_context_is_read_in_python(database: Database) {
    let (mut python, rust) = database.both().await;
    let stream = StreamId::random();
    let context = Context::new().with_correlation_id(CORRELATION).with_causation_id(CAUSATION);
    let context = context.with_component(&request()).unwrap();

    rust.append(&stream, paid("1").with_context(context)).await.unwrap();

    let components = json!({"request": {"id": "r-17", "retries": 2}});
    let expected =
        json!({"correlation_id": CORRELATION, "causation_id": CAUSATION, "components": components});
    assert_eq!(python.load(&stream)[0].context, expected);
}

pub(super) async fn contexts_of_older_writers_are_read(database: Database) {
    let (mut python, rust) = database.both().await;
    let stream = written_by_python(&mut python, json!({}));

    for (stored, correlation) in [
        ("{}", None),
        (r#"{"correlation_id":null}"#, None),
        (r#"{"components": null, "causation_id": null}"#, None),
        (r#"{"correlation_id": "0000000000000000000000000000c0de"}"#, Some(CORRELATION)),
    ] {
        database.run(&format!("UPDATE event_sourcery_events SET event_context = '{stored}'"));
        let read = rust.load_stream::<RawEvent>(&stream).await.unwrap();
        assert_eq!(read[0].context.correlation_id(), correlation, "{stored}");
    }
}

pub(super) async fn the_trace_of_an_event_is_taken_up_by_the_other_language(database: Database) {
    let (mut python, rust) = database.both().await;
    let stream = StreamId::random();
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let carrier = TraceCarrier::new([("traceparent", parent.as_str()), ("tracestate", "vendor=1")]);

    let context = Context::new().with_component(&carrier).unwrap();
    rust.append(&stream, paid("1").with_context(context)).await.unwrap();
    let within = json!({"components": {"opentelemetry": carrier}});
    let command = append(&stream, Expected::Version(1), &[event(&paid("2"))]);
    let command = with(with(command, "do", "append_within"), "within", within);
    python.told(&command);

    let taken_up = python.told(&json!({"do": "traces", "stream": place(&stream)}));
    assert_eq!(taken_up, json!([{"trace": TRACE, "span": SPAN}, {"trace": TRACE, "span": SPAN}]));
    let read = rust.load_stream::<Paid>(&stream).await.unwrap();
    let carriers: Vec<_> = read.iter().map(|event| TraceCarrier::of(&event.context).unwrap()).collect();
    assert_eq!(carriers, [carrier.clone(), carrier]);
}
