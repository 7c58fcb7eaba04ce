//! Course subscriptions.

use tempfile::tempdir;

use super::{printed, run};

const NOTHING: [&str; 0] = [];

#[test]
fn two_programs_at_once_break_neither_rule_and_a_third_finds_no_seat_left() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let both = std::thread::scope(|scope| {
        let one = scope.spawn(move || printed(&run("courses", path, NOTHING)));
        let other = printed(&run("courses", path, NOTHING));
        [one.join().unwrap(), other]
    });
    for text in both {
        assert!(text.contains("Both rules hold."), "{text}");
    }
    // 40 students want all of 50 seats, and may take three each: the seats are the limit.
    let third = printed(&run("courses", path, NOTHING));
    assert!(third.starts_with("0 subscriptions") && third.contains("Both rules hold."), "{third}");
    assert_eq!(third.matches("10 of 10 seats").count(), 5, "{third}");
}
