//! The history of a repository as events.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use event_sourcery::{Category, ContextComponent, EventStore, RawEvent, Recorded, StreamId, WrappedEvent};
use event_sourcery_sqlite::SqliteBackend;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::tempdir;

use super::git::Repository;
use super::{complaint, example, printed, run};

/// What the import keeps about the commit.
#[derive(Serialize, Deserialize, Debug)]
struct Commit {
    hash: String,
    author: Value,
    committer: Value,
    committed_at: jiff::Timestamp,
}

impl ContextComponent for Commit {
    const NAME: &'static str = "commit";
}

fn import(repository: &Repository) -> String {
    printed(&run("git_history", repository.folder(), ["project"]))
}

async fn store_of(repository: &Repository) -> EventStore<SqliteBackend> {
    EventStore::new(SqliteBackend::open(repository.folder().join("project.history.db")).await.unwrap())
}

async fn all_events(repository: &Repository) -> Vec<Recorded<RawEvent>> {
    let store = store_of(repository).await;
    let mut events = store.read_all::<RawEvent>().category(Category::new("file").unwrap()).stream();
    let mut all = Vec::new();
    while let Some(event) = events.try_next().await.unwrap() {
        all.push(event);
    }
    all
}

fn file(path: &str) -> StreamId {
    StreamId::from_name(path).unwrap().in_category("file").unwrap()
}

async fn life(repository: &Repository, stream: &StreamId) -> Vec<WrappedEvent<RawEvent>> {
    store_of(repository).await.load_stream::<RawEvent>(stream).await.unwrap()
}

async fn assert_life(repository: &Repository, path: &str, names: &[&str]) {
    let life = life(repository, &file(path)).await;
    let found: Vec<_> = life.iter().map(|event| event.event.name()).collect();
    assert_eq!(found, names, "{path}");
    let versions: Vec<_> = life.iter().filter_map(|event| event.version).collect();
    assert_eq!(versions, (1..=names.len() as u64).collect::<Vec<_>>(), "{path}");
}

fn payload(event: &WrappedEvent<RawEvent>) -> Value {
    serde_json::from_str(event.event.data().get()).unwrap()
}

#[tokio::test]
async fn a_file_is_created_changed_deleted_and_created_again_in_one_stream() {
    let mut repository = Repository::new();
    repository.write("notes.txt", "one");
    let first = repository.commit("Ada");
    repository.write("notes.txt", "two");
    fs::set_permissions(repository.path().join("notes.txt"), fs::Permissions::from_mode(0o755)).unwrap();
    repository.commit("Bob");
    fs::remove_file(repository.path().join("notes.txt")).unwrap();
    repository.commit("Ada");
    repository.commit_staged("Nobody changes anything");
    repository.write("notes.txt", "three");
    repository.commit("Ada");
    import(&repository);

    let names = ["FileCreated", "FileChanged", "FileModeChanged", "FileDeleted", "FileCreated"];
    assert_life(&repository, "notes.txt", &names).await;

    let life = life(&repository, &file("notes.txt")).await;
    assert_eq!(life[0].created_at, "2024-01-01T12:00:00Z".parse().unwrap());
    let commit = life[0].context.component::<Commit>().unwrap().unwrap();
    assert_eq!((commit.hash, &commit.author["name"]), (first, &Value::from("Ada")));
    assert_eq!(commit.committer["name"], "Committer");
    assert_eq!(commit.committed_at, "2024-02-01T12:00:00Z".parse().unwrap());
    assert_eq!(life[1].context.correlation_id(), life[2].context.correlation_id());
    assert_ne!(life[0].context.correlation_id(), life[1].context.correlation_id());
    assert_eq!((&payload(&life[2])["from"], &payload(&life[2])["to"]), (&"100644".into(), &"100755".into()));
}

#[tokio::test]
async fn a_rename_is_told_in_both_streams_and_a_life_is_followed_across_it() {
    let mut repository = Repository::new();
    repository.write("draft.txt", "one");
    repository.commit("Ada");
    repository.git(["mv", "draft.txt", "letter.txt"]);
    repository.commit("Bob");
    repository.write("draft.txt", "a file of its own, under the old name");
    repository.commit("Cy");
    repository.git(["mv", "letter.txt", "sent.txt"]);
    repository.write("sent.txt", "two");
    repository.commit("Dee");
    import(&repository);

    assert_life(&repository, "draft.txt", &["FileCreated", "FileRenamedTo", "FileCreated"]).await;
    assert_life(&repository, "letter.txt", &["FileRenamedFrom", "FileRenamedTo"]).await;
    assert_life(&repository, "sent.txt", &["FileRenamedFrom"]).await;
    let (draft, letter) =
        (life(&repository, &file("draft.txt")).await, life(&repository, &file("letter.txt")).await);
    assert_eq!(payload(&draft[1])["to"], "letter.txt");
    assert_eq!(payload(&letter[0])["from"], "draft.txt");
    assert_eq!(draft[1].context.correlation_id(), letter[0].context.correlation_id());

    let output = run("git_history", repository.folder(), ["project", "--file", "letter.txt"]);
    let text = printed(&output);
    let story = text.split("The life of letter.txt").nth(1).unwrap();
    let told = [
        "created by Ada",
        "renamed to letter.txt by Bob",
        "renamed to sent.txt by Dee",
        "renamed from letter.txt (9",
    ];
    let places: Vec<_> = told.iter().map(|line| story.find(line).unwrap()).collect();
    assert!(places.is_sorted(), "{story}");
    assert!(!story.contains("Cy"), "another file that had the old name is told: {story}");
}

#[tokio::test]
async fn a_merge_tells_what_it_changed_itself_and_nothing_twice() {
    let mut repository = Repository::new();
    for path in ["both.txt", "ours.txt", "theirs.txt"] {
        repository.write(path, "base");
    }
    repository.commit("Ada");
    repository.git(["switch", "--quiet", "--create", "side"]);
    repository.write("both.txt", "side");
    repository.write("theirs.txt", "side");
    repository.commit("Bob");
    repository.git(["switch", "--quiet", "main"]);
    repository.write("both.txt", "main");
    repository.write("ours.txt", "main");
    repository.commit("Cy");
    repository.try_git(["merge", "side"]);
    repository.write("both.txt", "main and side");
    repository.write("slipped-in.txt", "by the merge");
    repository.commit("Dee");
    import(&repository);

    assert_life(&repository, "both.txt", &["FileCreated", "FileChanged", "FileChanged", "FileMerged"]).await;
    assert_life(&repository, "ours.txt", &["FileCreated", "FileChanged"]).await;
    assert_life(&repository, "theirs.txt", &["FileCreated", "FileChanged"]).await;
    assert_life(&repository, "slipped-in.txt", &["FileCreated"]).await;
}

#[tokio::test]
async fn paths_of_every_kind_have_a_stream() {
    let mut repository = Repository::new();
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let not_utf8 = Path::new(OsStr::from_bytes(b"caf\xe9.txt"));
    for path in ["größe/日本語.txt", "with \"quotes\" and\ttab.txt", r"back\slash.txt", &long] {
        repository.write(path, path);
    }
    repository.write(not_utf8, "latin 1");
    repository.commit("Zoë \"quoted\" O'Neill");
    import(&repository);

    assert_life(&repository, "größe/日本語.txt", &["FileCreated"]).await;
    assert_life(&repository, r#"with "quotes" and\u{9}tab.txt"#, &["FileCreated"]).await;
    assert_life(&repository, r"back\\slash.txt", &["FileCreated"]).await;
    assert_life(&repository, r"caf\xe9.txt", &["FileCreated"]).await;

    let all = all_events(&repository).await;
    let unnamed: Vec<_> = all.iter().filter(|event| event.stream_id.name().is_none()).collect();
    assert_eq!(unnamed.len(), 1, "the path that is too long for a name");
    assert_eq!(payload(&unnamed[0].wrapped_event)["path"], *long);

    for path in [OsStr::new(&long), not_utf8.as_os_str()] {
        let arguments = [OsStr::new("project"), OsStr::new("--file"), path];
        assert!(printed(&run("git_history", repository.folder(), arguments)).contains("created by Zoë"));
    }
}

#[tokio::test]
async fn a_second_run_adds_nothing_and_a_new_commit_just_itself() {
    let mut repository = Repository::new();
    repository.write("a.txt", "one");
    repository.write("b.txt", "one");
    repository.commit("Ada");
    repository.write("a.txt", "two");
    repository.commit("Ada");
    import(&repository);
    let before = all_events(&repository).await;
    assert_eq!(before.len(), 3);

    assert!(import(&repository).contains("Nothing new"));
    assert_eq!(all_events(&repository).await, before);

    repository.write("a.txt", "three");
    repository.commit("Bob");
    assert!(import(&repository).contains("Commits imported: 1. Events appended: 1,"));
    let after = all_events(&repository).await;
    assert_eq!(after[..3], before[..]);
    assert_eq!(after.len(), 4);
    assert_life(&repository, "a.txt", &["FileCreated", "FileChanged", "FileChanged"]).await;
}

#[tokio::test]
async fn an_import_that_was_interrupted_is_taken_up_again() {
    let mut repository = Repository::new();
    for line in ["one", "two", "three", "four"] {
        repository.write("a.txt", line);
        repository.write(line, line);
        repository.commit("Ada");
    }
    import(&repository);
    let before = all_events(&repository).await;

    // As if it had been killed before it could note how far it was.
    let store = store_of(&repository).await;
    store.delete_stream(&StreamId::from_name("imports").unwrap()).await.unwrap();
    drop(store);
    let text = import(&repository);
    assert!(text.contains("appended: 0,") && text.contains("had left already: 8."), "{text}");
    assert_eq!(all_events(&repository).await, before);

    repository.write("a.txt", "five");
    repository.commit("Bob");
    assert!(import(&repository).contains("Commits imported: 1. Events appended: 1,"));
    assert_eq!(life(&repository, &file("a.txt")).await.last().unwrap().version, Some(5));
}

#[test]
fn what_cannot_be_imported_is_refused_in_words() {
    let mut repository = Repository::new();
    let folder = repository.folder().to_owned();
    assert!(
        printed(&run("git_history", &folder, ["project"])).contains("Nothing new"),
        "an empty repository"
    );
    repository.write("a.txt", "one");
    repository.commit("Ada");
    repository.write("a.txt", "two");
    repository.commit("Ada");

    let elsewhere = tempdir().unwrap();
    let ask = |arguments: &[&str]| complaint(&run("git_history", &folder, arguments));
    assert!(ask(&[elsewhere.path().to_str().unwrap()]).contains("not a git repository"));
    assert!(ask(&["nowhere"]).contains("cannot be read as a git repository"));
    assert!(ask(&["project", "--file", "nowhere.txt"]).contains("no commit knows a file nowhere.txt"));
    assert!(ask(&[]).contains("usage:"));
    assert!(ask(&["project", "--store"]).contains("--store needs a path"));
    assert!(ask(&["project", "--fast"]).contains("--fast is unknown"));

    let origin = format!("file://{}", repository.path().display());
    repository.git(["clone", "--quiet", "--depth=1", &origin, "../shallow"]);
    assert!(ask(&["shallow"]).contains("git fetch --unshallow"));

    let mut other = Repository::new();
    other.write("b.txt", "one");
    other.commit("Bob");
    let store = folder.join("project.history.db");
    let arguments = [OsStr::new("project"), OsStr::new("--store"), store.as_os_str()];
    assert!(complaint(&run("git_history", other.folder(), arguments)).contains("another repository"));
}

#[test]
fn without_git_the_example_says_so() {
    let repository = Repository::new();
    let empty = tempdir().unwrap();
    let output = std::process::Command::new(example("git_history"))
        .current_dir(repository.folder())
        .arg("project")
        .env("PATH", empty.path())
        .output()
        .unwrap();
    assert!(complaint(&output).contains("git is needed"));
}
