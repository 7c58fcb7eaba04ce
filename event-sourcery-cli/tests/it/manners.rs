//! How the program behaves towards people, shells and other programs.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use event_sourcery::{EventStore, RawEvent, StreamId};
use serde_json::{Value, json};

use crate::scene::{Scene, printed, program};

#[test]
fn a_missing_file_is_told_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["streams"][..], &["stats"], &["stream", "delete", "a", "--yes"], &["holders"]] {
        let output = program(folder.path(), "sqlite:nowhere.db").args(command).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains("nowhere.db") && told.contains("to do: "), "{told}");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing was made");
}

#[test]
fn no_password_is_printed_whatever_goes_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let url = "postgres://billing:s3cret-pw@127.0.0.1:port/app";
    let of_variable = program(folder.path(), url).arg("streams").output().unwrap();
    assert_eq!(of_variable.status.code(), Some(2));
    let misplaced = program(folder.path(), "").args(["streams", "orders", url]).output().unwrap();
    assert_eq!(misplaced.status.code(), Some(2));
    let unfit = program(folder.path(), "mysql://billing:s3cret-pw@db/app").arg("streams").output().unwrap();
    assert_eq!(unfit.status.code(), Some(2));
    let no_file = program(folder.path(), "sqlite:orders.db").args(["import", url]).output().unwrap();
    assert_eq!(no_file.status.code(), Some(1));
    // An address where none belongs.
    let no_path = program(folder.path(), "sqlite:orders.db").args(["export", url]).output().unwrap();
    assert_eq!(no_path.status.code(), Some(2));
    let twice = program(folder.path(), "").args(["--store", url, "serve", url]).output().unwrap();
    assert_eq!(twice.status.code(), Some(2), "two addresses");
    for output in [of_variable, misplaced, unfit, no_file, no_path, twice] {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!told.is_empty() && !told.contains("s3cret"), "{told}");
    }
}

#[test]
fn the_command_line_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(folder.path(), "").arg("streams").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("EVENT_SOURCERY_URL"));
    let help = printed(&program(folder.path(), "").arg("--help").output().unwrap());
    assert!(help.contains("Exit codes") && help.contains("subscriptions"), "{help}");
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&program(folder.path(), "").args(["completion", shell]).output().unwrap());
        assert!(script.contains("subscriptions"), "{script}");
    }
}

/// What says nothing where it stands is refused, and not passed over.
#[tokio::test]
async fn flags_before_an_action_are_not_passed_over() {
    let scene = Scene::new().await;
    let told = scene.refused("subscriptions --limit 5 show letters", 2);
    assert!(told.contains("show NAME --limit 5"), "{told}");
    scene.refused("outbox --from [\"4\"] waiting", 2);
    scene.printed("subscriptions --limit 5");
    scene.printed("subscriptions show letters --limit 5");
}

/// Whoever reads what goes on may have had enough: that is no error, and no panic.
#[tokio::test]
async fn a_pipe_that_is_closed_ends_what_goes_on() {
    let scene = Scene::new().await;
    let mut follow = scene.program();
    follow.args(["stream", "follow", "orders/1003"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut follow = follow.spawn().unwrap();
    let mut first = String::new();
    BufReader::new(follow.stdout.take().unwrap()).read_line(&mut first).unwrap();
    // The pipe is closed by now, and what comes has nobody to read it.
    let store = EventStore::new(scene.backend().await);
    let order = StreamId::from_name("orders/1003").unwrap();
    store.append(&order, RawEvent::new("Shipped", "{}").unwrap()).expected_version(2).await.unwrap();
    assert_eq!(follow.wait().unwrap().code(), Some(0));
    let mut errors = String::new();
    follow.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((first.contains("Placed"), errors.as_str()), (true, ""));
}

/// `set -o pipefail` tells a file that is whole from one that is not, as it does with other programs.
#[tokio::test]
async fn what_a_closed_pipe_has_cut_short_says_so_by_its_exit_code_alone() {
    let scene = Scene::new().await;
    let store = EventStore::new(scene.backend().await);
    // More than a pipe holds.
    let event = || RawEvent::new("Viewed", format!(r#"{{"text": "{}"}}"#, "x".repeat(500))).unwrap();
    let events: Vec<_> = std::iter::repeat_with(event).take(2_000).collect();
    store.append(&StreamId::from_name("orders/2000").unwrap(), events).await.unwrap();
    for arguments in [&["export"][..], &["stream", "show", "orders/2000", "--limit", "1000", "--json"]] {
        let mut cut = scene.program();
        let mut cut = cut.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 16];
        cut.stdout.take().unwrap().read_exact(&mut first).unwrap();
        // The pipe is closed by now.
        let ended = cut.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!((ended.status.code(), errors.as_str()), (Some(141), ""), "{arguments:?}");
    }
    assert_eq!(scene.run("export").status.code(), Some(0), "the whole of it was read");
}

/// It shows what is there, then what comes, each once and in order; and Ctrl-C is how it ends.
#[cfg(unix)]
#[tokio::test]
async fn a_stream_is_followed_until_ctrl_c() {
    let scene = Scene::new().await;
    let mut follow = scene.program();
    follow.args(["stream", "follow", "orders/1003", "--limit", "1", "--json"]).stdout(Stdio::piped());
    let mut follow = follow.spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["name"], "Paid");
    let store = EventStore::new(scene.backend().await);
    let (order, other) = (StreamId::from_name("orders/1003").unwrap(), StreamId::random());
    let event = |name: &'static str| RawEvent::new(name, "{}").unwrap();
    store.append(&other, event("Viewed")).await.unwrap();
    // As many as have come while nobody could read.
    let held_up: Vec<_> = std::iter::repeat_with(|| event("Packed")).take(200).collect();
    store.append(&order, held_up).expected_version(2).await.unwrap();
    store.append(&order, event("Shipped")).expected_version(202).await.unwrap();
    let versions: Vec<Value> = (3..=203).map(|_| next()["version"].clone()).collect();
    assert_eq!(versions, (3..=203).map(|version| json!(version)).collect::<Vec<_>>());
    Command::new("kill").args(["-INT", &follow.id().to_string()]).status().unwrap();
    assert_eq!(follow.wait().unwrap().code(), Some(0));
}

/// What stands in the store cannot act upon the terminal of who looks.
#[tokio::test]
async fn nothing_in_the_store_commands_the_terminal() {
    let scene = Scene::new().await;
    let store = EventStore::new(scene.backend().await);
    let hostile = StreamId::from_name("a\u{1b}[2J\u{9b}31m\u{202e}b").unwrap();
    let event = RawEvent::new("Paid\u{7}", "{\"text\": \"\u{9b}2J\"}").unwrap();
    store.append(&hostile, event).await.unwrap();
    for arguments in ["streams", "streams --json", "search", "search --json", "stats"] {
        let told = scene.printed(arguments);
        let acts = |each: char| (each.is_control() && each != '\n') || each == '\u{202e}';
        assert!(!told.contains(acts), "{arguments}: {told:?}");
    }
    // What is suggested can be copied, and finds it.
    let told = scene.refused("stream show a", 1);
    let id = hostile.uuid().to_string();
    assert!(told.contains(&id) && !told.contains("[2J"), "{told:?}");
    scene.printed(&format!("stream show {id}"));
}
