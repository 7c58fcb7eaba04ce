//! What `#[derive(Event)]` refuses, and what it says to write instead: `tests/compile_fail/*.stderr`.

#[test]
fn what_cannot_be_an_event_does_not_compile_and_the_message_says_what_to_write() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
