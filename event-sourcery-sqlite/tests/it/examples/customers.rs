//! The example `customers`: of who is forgotten nothing is left, and everything of who is not.

use std::fs;

use tempfile::tempdir;

use super::{complaint, printed, run};

const NOTHING: [&str; 0] = [];

/// What is printed under one of the headings.
fn part<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("{from:?} is missing in:\n{text}"));
    rest.split_once(to).unwrap_or_else(|| panic!("{to:?} is missing in:\n{text}")).0
}

#[test]
fn who_is_forgotten_leaves_masks_and_no_key_and_others_stay() {
    let folder = tempdir().unwrap();
    for _ in 0..2 {
        let text = printed(&run("customers", folder.path(), NOTHING)) + "\n(end)";
        let before = part(&text, "keeps of Ann:", "Ann is forgotten:");
        let after = part(&text, "Ann is forgotten:", "Bob is not:");
        let bob = part(&text, "Bob is not:", "(end)");
        for (part, expected) in [
            (before, "registered as Ann Lovelace, ann@example.com"),
            (before, "ordered tea for 4.50, to 12 Mill Lane, England"),
            (before, "CustomerRegistered: /email, /name"),
            (before, "OrderPlaced: /deliver_to/street"),
            (before, "the key: Stored"),
            (before, "on the mailing list: ann@example.com"),
            (after, "registered as forgotten, forgotten"),
            (after, "ordered tea for 4.50, to somewhere, England"),
            (after, "OrderPlaced: /deliver_to/street"),
            (after, "the key: Shredded"),
            (after, "not on the mailing list"),
            (after, "her wrapped key stands 0 times"),
            (after, "she orders: the key of the data subject"),
            (bob, "registered as Bob Babbage, bob@example.com"),
            (bob, "on the mailing list: bob@example.com"),
        ] {
            assert!(part.contains(expected), "{expected:?} is missing in:\n{text}");
        }
        assert!(!before.contains("wrapped key stands 0 times"), "the search finds what is there:\n{text}");
        for personal in ["Ann Lovelace", "ann@example.com", "12 Mill Lane", "Bob Babbage", "bob@example.com"]
        {
            let nowhere = format!("in the files, {personal:?} stands 0 times");
            assert_eq!(text.matches(&nowhere).count(), 3, "{text}");
        }
    }
}

#[test]
fn with_another_master_key_it_complains_and_nobody_is_taken_for_forgotten() {
    let folder = tempdir().unwrap();
    printed(&run("customers", folder.path(), NOTHING));
    fs::write(folder.path().join("customers.key"), [7; 32]).unwrap();
    let output = run("customers", folder.path(), NOTHING);
    assert!(complaint(&output).contains("KeyNotUnwrapped"), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("forgotten"), "{output:?}");
}
