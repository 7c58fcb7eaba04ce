//! Fields whose values are tags.

use event_sourcery::{Event, RawEvent, Tag, Tags};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Debug)]
struct Seat(u16);

#[derive(Event, Serialize, Deserialize, Debug)]
#[event(tags(course, r#type, students = "student", seat, teacher))]
#[serde(rename_all = "camelCase")]
struct Subscribed {
    course: String,
    r#type: String,
    students: Vec<String>,
    seat: Seat,
    teacher: Option<u64>,
    note: String,
}

fn subscribed() -> Subscribed {
    Subscribed {
        course: "c1".into(),
        r#type: "evening".into(),
        students: vec!["s1".into(), "s2".into()],
        seat: Seat(7),
        teacher: None,
        note: "late".into(),
    }
}

#[derive(Event, Serialize, Deserialize, Debug)]
enum CourseEvent {
    #[serde(skip)]
    Subscribed(Subscribed),
    #[event(tags(name = "course", name))]
    Opened {
        name: String,
        seats: u64,
    },
    Counted {
        courses: u64,
    },
    Closed,
    #[event(catch_all)]
    #[serde(skip)]
    Other(RawEvent),
}

fn tags(event: &impl Event) -> Vec<String> {
    let mut tags = Tags::default();
    event.tags(&mut tags);
    tags.into_tags().unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn the_values_of_the_fields_that_are_named_are_tags() {
    let expected = ["course:c1", "seat:7", "student:s1", "student:s2", "type:evening"];
    assert_eq!(tags(&subscribed()), expected);
    assert_eq!(tags(&Box::new(subscribed())), expected);
    assert_eq!(tags(&CourseEvent::from(subscribed())), expected);
    assert_eq!(tags(&Subscribed { teacher: Some(3), ..subscribed() }).last().unwrap(), "type:evening");
    assert!(tags(&Subscribed { teacher: Some(3), ..subscribed() }).contains(&"teacher:3".to_owned()));
}

#[test]
fn a_variant_has_tags_of_its_own() {
    assert_eq!(tags(&CourseEvent::Opened { name: "c1".into(), seats: 20 }), ["course:c1", "name:c1"]);
    assert!(tags(&CourseEvent::Counted { courses: 1 }).is_empty());
    assert!(tags(&CourseEvent::Closed).is_empty());
}

#[test]
fn a_value_that_cannot_be_a_tag_is_told_when_the_event_is_appended() {
    let mut collected = Tags::default();
    Subscribed { course: String::new(), ..subscribed() }.tags(&mut collected);
    assert!(collected.into_tags().is_err());
    assert!(Tag::new("course", "").is_err());
}
