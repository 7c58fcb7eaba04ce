//! What becomes of a record.

use event_sourcery::telemetry::TraceCarrier;
use event_sourcery::uuid::Uuid;
use event_sourcery::{Context, Position, RawEvent, Recorded, StreamId, TenantId, WrappedEvent};
use event_sourcery_cloudevents::{Binding, CloudEvents, Form, MappingError, token};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A record with everything in it, and names that need care.
pub(crate) fn full() -> Recorded<RawEvent> {
    let stream =
        StreamId::from_name("größe 100 % \"x\"").unwrap().in_category("rechnungen/2026, alt").unwrap();
    let context =
        Context::new().with_correlation_id(Uuid::from_u128(1)).with_causation_id(Uuid::from_u128(2));
    let headers = [("traceparent", PARENT), ("tracestate", "vendor=1"), ("baggage", "user=7")];
    let context = context.with_component(&TraceCarrier::new(headers)).unwrap();
    let event = RawEvent::new("shop.Bezahlt€", r#"{"n": 9007199254740993, "text": "ü\"\n"}"#).unwrap();
    let wrapped = WrappedEvent::new(event.with_schema_version(3)).with_version(7).with_context(context);
    Recorded::new(wrapped, stream, Position::from_i64(9_007_199_254_740_993))
        .with_tenant_id(TenantId::new("acme & söhne").unwrap())
}

/// A record with nothing in it that can be missing.
pub(crate) fn bare() -> Recorded<RawEvent> {
    let event = WrappedEvent::new(RawEvent::new("Paid", "{}").unwrap());
    Recorded::new(event, StreamId::random(), Position::from_i64(1))
}

pub(crate) fn events() -> CloudEvents {
    CloudEvents::from_source("/shop").unwrap()
}

#[test]
fn every_name_is_one_that_the_specification_allows() {
    let (events, full) = (events(), full());
    let event = events.event(&full).unwrap();
    for (name, _) in event.attributes() {
        let legal = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        assert!(legal && (1..=20).contains(&name.len()), "{name}");
    }
    assert_eq!(event.attributes().count(), 18);
}

#[test]
fn the_trace_of_an_event_goes_with_it_and_its_baggage_does_not() {
    let (events, full) = (events(), full());
    let event = events.event(&full).unwrap();
    assert_eq!(event.attribute("traceparent"), Some(PARENT));
    assert_eq!(event.attribute("tracestate"), Some("vendor=1"));
    assert!(event.headers(Binding::Nats).contains(&("ce-traceparent".into(), PARENT.into())));
    assert!(!event.to_json().contains("user=7"));
}

/// Whatever stands in its place, the event is published.
#[test]
fn what_is_no_trace_is_left_out_and_harms_nothing() {
    for broken in [r#"{"values":{"traceparent":"00-\n"}}"#, r#"{"values":7}"#, "[]"] {
        let context = format!(r#"{{"components":{{"opentelemetry":{broken}}}}}"#);
        let mut recorded = bare();
        recorded.wrapped_event.context = serde_json::from_str(&context).unwrap();
        assert_eq!(events().event(&recorded).unwrap().attributes().count(), 10, "{broken}");
    }
}

#[test]
fn what_a_record_lacks_is_left_out() {
    let (events, bare) = (events(), bare());
    let event = events.event(&bare).unwrap();
    for absent in
        ["streamname", "streamcategory", "streamversion", "tenantid", "correlationid", "causationid"]
    {
        assert_eq!(event.attribute(absent), None, "{absent}");
    }
    assert_eq!(event.attribute("subject"), Some(bare.stream_id.uuid().to_string().as_str()));
    assert_eq!(event.attributes().count(), 10);
}

#[test]
fn a_record_is_the_same_cloud_event_each_time() {
    let (events, full) = (events(), full());
    let json = || events.event(&full).unwrap().to_json();
    assert_eq!(json(), json());
    assert!(json().contains(&full.wrapped_event.uuid.to_string()));
}

#[test]
fn what_no_attribute_can_hold_is_refused_by_name() {
    let event = WrappedEvent::new(RawEvent::new("Paid", "{}").unwrap());
    for name in ["a\nb", "a\u{7f}", "a\u{fffe}", "\u{fdd0}"] {
        let recorded =
            Recorded::new(event.clone(), StreamId::from_name(name).unwrap(), Position::from_i64(1));
        let refused = events().event(&recorded).unwrap_err();
        assert!(
            matches!(refused, MappingError::Unsayable { attribute: "subject", .. }),
            "{name:?}: {refused}"
        );
    }
}

#[test]
fn a_source_that_is_no_uri_is_refused() {
    for source in ["", "a b", "größe", "a\"b", "{a}"] {
        let refused = CloudEvents::from_source(source).unwrap_err();
        assert!(matches!(refused, MappingError::InvalidSource { .. }), "{source:?}");
    }
    assert_eq!(CloudEvents::from_source("https://shop.example/a?b=%20").unwrap().source().len(), 28);
}

#[test]
fn headers_hold_ascii_where_the_binding_says_so() {
    let (events, full) = (events(), full());
    let event = events.event(&full).unwrap();
    for binding in [Binding::Http, Binding::Nats] {
        for (name, value) in event.message(Form::Binary, binding).headers {
            assert!(name.starts_with("ce-"), "{name}");
            assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{name}: {value}");
        }
    }
    let http = event.headers(Binding::Http);
    assert!(http.contains(&("ce-streamname".into(), "gr%C3%B6%C3%9Fe%20100%20%25%20%22x%22".into())));
    assert!(!http.iter().any(|(name, _)| name == "ce-datacontenttype"));
    assert!(event.headers(Binding::Nats).contains(&("ce-datacontenttype".into(), "application/json".into())));
}

#[test]
fn a_token_has_no_character_that_means_something() {
    for name in ["a.b", "*", ">", "a b", "ü", "%2E", "a/b", "\n"] {
        let token = token(name);
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_%".contains(&byte)), "{token}");
    }
    assert_ne!(token("a.b"), token("a%2Eb"));
}
