//! The guide's page *the command line*: its commands are run, and print what it shows.

use std::{env, fs};

use crate::scene::Scene;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../event-sourcery/guide/the-command-line.md");

/// Writes what the commands print into the page, instead of comparing it.
const UPDATE: &str = "EVENT_SOURCERY_UPDATE_PAGE";

/// What a text says, whatever its numbers are, and however wide they make its columns.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for each in text.chars() {
        let each = if each.is_ascii_digit() { '#' } else { each };
        if !(matches!(each, '#' | ' ') && shape.ends_with(each)) {
            shape.push(each);
        }
    }
    shape
}

#[tokio::test]
async fn the_page_shows_what_its_commands_print() {
    let scene = Scene::new().await;
    let page = fs::read_to_string(PAGE).unwrap();
    let mut parts: Vec<String> = page.split("```").map(str::to_owned).collect();
    let mut compared = 0;
    for number in (1..parts.len()).step_by(2) {
        let command = parts[number].strip_prefix("sh\nevent-sourcery ").map(str::to_owned);
        let shown = parts.get(number + 2).and_then(|shown| shown.strip_prefix("text\n")).map(str::to_owned);
        let (Some(command), Some(shown)) = (command, shown) else { continue };
        let printed = scene.printed(&command);
        compared += 1;
        if env::var_os(UPDATE).is_some() {
            parts[number + 2] = format!("text\n{printed}");
        } else {
            assert_eq!(
                shape(&printed),
                shape(&shown),
                "{command}: {UPDATE}=1 writes what it prints:\n{printed}"
            );
        }
    }
    assert!(compared > 5, "only {compared} commands were found");
    if env::var_os(UPDATE).is_some() {
        fs::write(PAGE, parts.join("```")).unwrap();
    }
}

#[test]
fn another_output_is_noticed() {
    assert_eq!(shape("a  12  b"), shape("a 7 b"));
    assert_ne!(shape("a 7 b"), shape("a 7 c"));
}
