//! The pages *data privacy*, *operate*, *react to events*, *publish events*, *publishers and inboxes* and *when one machine is not
//! enough*, what is assumed of PostgreSQL, and the comparison with others name the tests that show what they say.

use std::fs;
use std::path::{Path, PathBuf};

const COMPARISON: &str = include_str!("../../COMPARISON.md");
const DATA_PRIVACY: &str = include_str!("../../event-sourcery/guide/data-privacy.md");
const OPERATE: &str = include_str!("../../event-sourcery/guide/operate.md");
const REACT_TO_EVENTS: &str = include_str!("../../event-sourcery/guide/react-to-events.md");
const PUBLISH_EVENTS: &str = include_str!("../../event-sourcery/guide/publish-events.md");
const ASSUMPTIONS: &str = include_str!("../../event-sourcery-postgres/ASSUMPTIONS.md");
const PUBLISHERS_AND_INBOXES: &str = include_str!("../../event-sourcery/guide/publishers-and-inboxes.md");
const WHEN_ONE_MACHINE: &str = include_str!("../../event-sourcery/guide/when-one-machine-is-not-enough.md");

/// Where tests stand: those of the kit, those of the databases, their examples included, and those of
/// the key service, the publishers and the programs that look inside.
const FOLDERS: [&str; 13] = [
    "../event-sourcery-conformance/src",
    "../event-sourcery/tests/it",
    "../event-sourcery-browser/tests/it",
    "../event-sourcery-cli/tests/it",
    "../event-sourcery-mcp/tests/it",
    "../event-sourcery-sqlite/tests/it",
    "../event-sourcery-postgres/tests/it",
    "../event-sourcery-nats/tests/it",
    "../event-sourcery-openbao/tests/it",
    "../event-sourcery-publish-nats/tests/it",
    "../event-sourcery-publish-rabbitmq/tests/it",
    "../event-sourcery-publish-webhook/tests/it",
    "../reference/src",
];

/// All tests as one text, and the names of their files and folders as if they were tests.
fn tests() -> String {
    let mut folders = FOLDERS.map(PathBuf::from).to_vec();
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        text += &as_test(&folder);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text += &as_test(&path);
                text += &fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

fn as_test(path: &Path) -> String {
    format!("fn {}(\n", path.file_stem().unwrap().to_string_lossy())
}

/// What stands between backticks in the last cells of a page's tables.
fn in_last_cells(page: &str) -> impl Iterator<Item = &str> {
    let cells = page.lines().filter_map(|line| line.strip_suffix('|')?.rsplit('|').next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2))
}

/// Fails unless each is there, and at least as many as `least` are named.
fn assert_are_there<'a>(names: impl Iterator<Item = &'a str>, least: usize) {
    let (tests, mut count) = (tests(), 0);
    for name in names {
        let last = name.rsplit("::").next().unwrap();
        assert!(tests.contains(&format!("fn {last}(")), "{name} is no test");
        count += 1;
    }
    assert!(count >= least, "only {count} tests are named");
}

/// What may learn what, each with its test; where there is none, it says why.
#[test]
fn every_test_that_the_page_data_privacy_names_is_there() {
    let (_, rest) = DATA_PRIVACY.split_once("## Who may learn what").unwrap();
    let (table, _) = rest.split_once("## What it does not do").unwrap();
    assert_are_there(in_last_cells(table), 20);
    let cells = table.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit("| ").next());
    for cell in cells.filter(|cell| *cell != "test") {
        assert!(cell.contains('`') || cell.starts_with("none: "), "a line without a test: {cell:?}");
    }
}

#[test]
fn every_test_that_the_page_operate_names_is_there() {
    let paths = in_last_cells(OPERATE).filter(|name| name.contains("::") || name.starts_with("clause_"));
    assert_are_there(paths, 30);
}

#[test]
fn every_test_that_the_assumptions_about_postgresql_name_is_there() {
    assert_are_there(in_last_cells(ASSUMPTIONS), 100);
}

#[test]
fn every_test_that_the_page_react_to_events_names_is_there() {
    let (_, tables) = REACT_TO_EVENTS.split_once("### Which test shows it").unwrap();
    assert_are_there(in_last_cells(tables), 40);
}

#[test]
fn every_test_that_the_page_publish_events_names_is_there() {
    let (_, tables) = PUBLISH_EVENTS.split_once("### Which test shows it").unwrap();
    assert_are_there(in_last_cells(tables), 20);
}

#[test]
fn every_test_that_the_page_publishers_and_inboxes_names_is_there() {
    let (_, table) = PUBLISHERS_AND_INBOXES.split_once("## What can happen").unwrap();
    assert_are_there(in_last_cells(table), 20);
}

#[test]
fn every_test_that_the_page_when_one_machine_is_not_enough_names_is_there() {
    assert_are_there(in_last_cells(WHEN_ONE_MACHINE), 12);
}

#[test]
fn every_test_that_the_comparison_names_is_there() {
    assert_are_there(in_last_cells(COMPARISON), 30);
}
