//! Each form, for each binding, says to the library for Python what the record says.

use event_sourcery::jiff::Timestamp;
use event_sourcery::{RawEvent, Recorded};
use event_sourcery_cloudevents::{Binding, Form};
use serde_json::Value;

use crate::mapping::{bare, events, full};
use crate::python::Python;

fn assert_is_read(python: &mut Python, recorded: &Recorded<RawEvent>, form: Form, binding: (&str, Binding)) {
    let events = events();
    let event = events.event(recorded).unwrap();
    let (mut read, data) = python.reads(binding.0, &event.message(form, binding.1));
    let time = read.remove("time").unwrap();
    let time: Timestamp = time.as_str().unwrap().parse().unwrap();
    assert_eq!(time, recorded.wrapped_event.created_at, "{form:?}, {binding:?}");
    for (name, value) in event.attributes().filter(|(name, _)| *name != "time") {
        assert_eq!(read.remove(name), Some(Value::from(value)), "{name}: {form:?}, {binding:?}");
    }
    assert!(read.is_empty(), "nothing else: {read:?}");
    let payload: Value = serde_json::from_str(event.data()).unwrap();
    assert_eq!(data, payload, "{form:?}, {binding:?}");
}

#[test]
fn each_form_is_read_by_the_library_for_python() {
    let mut python = Python::start();
    let bindings = [("http", Binding::Http), ("nats", Binding::Nats), ("amqp", Binding::Amqp)];
    for recorded in [full(), bare()] {
        for form in [Form::Structured, Form::Binary] {
            for binding in bindings {
                assert_is_read(&mut python, &recorded, form, binding);
            }
        }
    }
}
