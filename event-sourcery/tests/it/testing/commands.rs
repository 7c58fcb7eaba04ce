//! `given(..).when(..).then(..)`.

use event_sourcery::testing::given;
use event_sourcery::{Aggregate, Emitting, Event, deciding};
use serde::{Deserialize, Serialize};

use super::failure;

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
enum CartEvent {
    Added { item: String, pieces: u32 },
    CheckedOut,
}

#[derive(Debug, PartialEq)]
enum Refused {
    Empty,
    TooMany(u32),
}

#[derive(Default, Debug)]
struct Cart {
    pieces: u32,
}

impl Aggregate for Cart {
    type Event = CartEvent;
    const CATEGORY: &'static str = "carts";

    fn apply(&mut self, event: &CartEvent) {
        match event {
            CartEvent::Added { pieces, .. } => self.pieces += pieces,
            CartEvent::CheckedOut => self.pieces = 0,
        }
    }
}

fn added(item: &str, pieces: u32) -> CartEvent {
    CartEvent::Added { item: item.into(), pieces }
}

/// Adds two items, and tells how many pieces there are.
fn add_two(cart: &mut Emitting<Cart>) -> Result<u32, Refused> {
    cart.emit(added("tea", 1));
    cart.emit(added("milk", cart.pieces));
    if cart.pieces > 9 { Err(Refused::TooMany(cart.pieces)) } else { Ok(cart.pieces) }
}

fn check_out(cart: &Cart) -> Result<Option<CartEvent>, Refused> {
    if cart.pieces == 0 { Err(Refused::Empty) } else { Ok(Some(CartEvent::CheckedOut)) }
}

#[test]
fn what_a_command_decides_can_be_told() {
    given([added("tea", 2)])
        .when(add_two)
        .then([added("tea", 1), added("milk", 3)])
        .then_value(6)
        .then_state(|cart| assert_eq!(cart.pieces, 6));
    given([added("tea", 9)]).when(add_two).then_error(Refused::TooMany(20));
    given([]).when(deciding(check_out)).then_error(Refused::Empty);
    given([added("tea", 9)]).when(deciding(check_out)).then([CartEvent::CheckedOut]);
    given([]).when(|cart: &mut Emitting<Cart>| Ok::<_, Refused>(cart.pieces)).then_nothing().then_value(0);
}

#[test]
fn other_events_are_shown_line_by_line() {
    let said = failure(|| {
        given([added("tea", 2)]).when(add_two).then([added("tea", 1), added("milk", 4)]);
    });
    let expected = r#"what the command emitted is not what was expected
given:
  Added { item: "tea", pieces: 2 }
difference (- expected, + actual):
  [
      Added {
          item: "tea",
          pieces: 1,
      },
      Added {
          item: "milk",
-         pieces: 4,
+         pieces: 3,
      },
  ]
"#;
    assert_eq!(said, expected);
}

#[test]
fn an_acceptance_that_was_to_be_a_rejection_says_what_was_emitted() {
    let said = failure(|| {
        given([]).when(add_two).then_error(Refused::Empty);
    });
    assert!(
        said.starts_with("the command was accepted, and was to be rejected with Empty\ngiven: nothing\n"),
        "{said}"
    );
    assert!(said.contains("pieces: 1") && said.ends_with("returned 2"), "{said}");
}

#[test]
fn a_rejection_that_was_to_be_an_acceptance_says_why() {
    let rejected = || given([added("tea", 9)]).when(add_two);
    for said in [
        failure(|| drop(rejected().then([]))),
        failure(|| drop(rejected().then_nothing())),
        failure(|| drop(rejected().then_value(20))),
    ] {
        assert!(said.starts_with("the command was rejected: TooMany(20)\ngiven:\n  Added"), "{said}");
    }
}

#[test]
fn another_error_and_another_value_are_shown() {
    let said = failure(|| drop(given([added("tea", 9)]).when(add_two).then_error(Refused::TooMany(21))));
    assert!(said.contains("-     21,") && said.contains("+     20,"), "{said}");
    let said = failure(|| drop(given([]).when(add_two).then_value(3)));
    assert!(said.contains("what the command returned") && said.contains("- 3\n+ 2\n"), "{said}");
}

/// Secrets look alike.
#[derive(PartialEq)]
struct Token(u8);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(***)")
    }
}

#[test]
fn values_are_compared_and_not_how_they_look() {
    let token = || given([]).when(|_: &mut Emitting<Cart>| Ok::<_, Refused>(Token(1)));
    token().then_value(Token(1));
    assert!(failure(|| drop(token().then_value(Token(2)))).contains("Token(***)"));
}

#[test]
fn a_rejected_command_leaves_the_state_as_it_was() {
    given([added("tea", 9)])
        .when(add_two)
        .then_error(Refused::TooMany(20))
        .then_state(|cart| assert_eq!(cart.pieces, 9));
}
