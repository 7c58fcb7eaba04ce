//! What is told of people, as data that proptest makes and shrinks, and what is left of it.

use std::collections::{BTreeMap, BTreeSet};

use event_sourcery::Event;
use event_sourcery::privacy::Personal;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use serde::{Deserialize, Serialize};

/// Texts that could be taken for something else.
const TEXTS: &[&str] = &["", "007", "true", "null", "masked", "a/b~c~1", "\"}{\\\u{1f980}", "Ann", "[1]"];

/// How many people there are to tell of.
const PEOPLE: u8 = 3;

/// Marks in all places where they count.
#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(name = "told")]
pub(super) struct Told {
    #[event(subject)]
    about: u8,
    #[event(encrypted, mask = "masked")]
    text: String,
    #[event(encrypted, mask = -7)]
    number: i64,
    #[event(encrypted)]
    float: Option<f64>,
    #[event(encrypted)]
    map: BTreeMap<String, Vec<Option<bool>>>,
    friends: Vec<Person>,
    by_name: BTreeMap<String, Person>,
    one: Option<Box<Person>>,
    clear: String,
}

#[derive(Personal, Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Person {
    #[event(subject)]
    id: u8,
    #[event(encrypted, mask = "masked")]
    name: String,
    #[event(encrypted)]
    amounts: Vec<u64>,
    home: Option<Home>,
}

#[derive(Personal, Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Home {
    #[event(encrypted, mask = "masked")]
    street: String,
    city: String,
}

impl Told {
    /// Whom something in it is about.
    pub(super) fn subjects(&self) -> BTreeSet<u8> {
        let people = self.friends.iter().chain(self.by_name.values()).chain(self.one.as_deref());
        people.map(|person| person.id).chain([self.about]).collect()
    }

    /// What is left of it once these were shredded.
    pub(super) fn without(&self, shredded: &BTreeSet<u8>) -> Self {
        let mut left = self.clone();
        if shredded.contains(&left.about) {
            (left.text, left.number) = ("masked".to_owned(), -7);
            (left.float, left.map) = (None, BTreeMap::new());
        }
        let people = left.friends.iter_mut().chain(left.by_name.values_mut()).chain(left.one.as_deref_mut());
        for person in people.filter(|person| shredded.contains(&person.id)) {
            person.name = "masked".to_owned();
            person.amounts.clear();
            if let Some(home) = &mut person.home {
                home.street = "masked".to_owned();
            }
        }
        left
    }
}

/// What is done, one after the other.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// To a stream.
    Tell(usize, Told),
    Shred(u8),
    /// A subscription hands over one event, and reads ahead.
    Follow,
}

pub(super) fn action(streams: usize) -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0..streams, told()).prop_map(|(stream, told)| Action::Tell(stream, told)),
        1 => (0..PEOPLE).prop_map(Action::Shred),
        1 => Just(Action::Follow),
    ]
}

fn told() -> impl Strategy<Value = Told> {
    let map = btree_map(text(), vec(option::of(any::<bool>()), 0..3), 0..3);
    let own = (0..PEOPLE, text(), any::<i64>(), option::of(select(vec![0.1, -2.5, 1e21])), map);
    let others = (vec(person(), 0..3), btree_map(text(), person(), 0..3), option::of(person()), text());
    (own, others).prop_map(|((about, text, number, float, map), (friends, by_name, one, clear))| {
        let one = one.map(Box::new);
        Told { about, text, number, float, map, friends, by_name, one, clear }
    })
}

fn person() -> impl Strategy<Value = Person> {
    let home = (text(), text()).prop_map(|(street, city)| Home { street, city });
    let person = (0..PEOPLE, text(), vec(any::<u64>(), 0..3), option::of(home));
    person.prop_map(|(id, name, amounts, home)| Person { id, name, amounts, home })
}

fn text() -> impl Strategy<Value = String> {
    select(TEXTS).prop_map(str::to_owned)
}
