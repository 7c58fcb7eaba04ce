//! Events on their way to another store, and in from one.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use event_sourcery::{EventStore, RawEvent, StreamId};
use event_sourcery_sqlite::{SqliteBackend, rusqlite};
use serde_json::{Value, json};

use crate::scene::{Scene, printed, program};

/// Runs it on another file of the same folder, which is made before.
fn on(scene: &Scene, file: &str, arguments: &str) -> Output {
    let run = |arguments: &str| {
        let mut program = program(scene.folder.path(), &format!("sqlite:{file}"));
        program.args(arguments.split_whitespace()).output().unwrap()
    };
    printed(&run("migrate --create --yes"));
    run(arguments)
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_store_is_copied_again_and_again_and_compared() {
    let scene = Scene::new().await;
    on(&scene, "new.db", "stats");
    let told = scene.refused("copy sqlite:new.db", 1);
    assert!(told.contains("nothing was changed") && told.contains("--yes"), "{told}");
    let different = scene.run("compare sqlite:new.db --json");
    assert_eq!((different.status.code(), &document(&different)["missing"]), (Some(1), &json!(4)));

    let copied = scene.json("copy sqlite:new.db --yes");
    assert_eq!(
        (&copied["written"], &copied["present"], &copied["is_clean"]),
        (&json!(4), &json!(0), &json!(true))
    );
    let again = scene.json("copy sqlite:new.db --yes");
    assert_eq!((&again["written"], &again["present"]), (&json!(0), &json!(4)));
    let compared = scene.json("compare sqlite:new.db --checkpoint 2");
    assert_eq!((&compared["same"], &compared["is_equal"]), (&json!(4), &json!(true)));
    assert_eq!(compared["checkpoints"], json!([{ "here": 2, "there": 2 }]));
    assert!(scene.printed("compare sqlite:new.db").ends_with("the two are equal.\n"));

    scene.printed("stream delete orders/1003 --yes");
    let beside = scene.run("copy sqlite:new.db --yes --json");
    assert_eq!((beside.status.code(), &document(&beside)["extra"]), (Some(1), &json!(2)));
    let deleted = scene.json("copy sqlite:new.db --deleting --yes");
    assert_eq!(deleted["deleted_streams"][0]["stream"]["name"], "orders/1003");
    scene.printed("compare sqlite:new.db");
}

/// That the two are equal would say nothing.
#[tokio::test]
async fn a_store_is_not_copied_to_itself_nor_compared_with_itself() {
    let scene = Scene::new().await;
    let whole = scene.folder.path().join("orders.db").display().to_string();
    for command in ["copy --yes", "compare"] {
        for address in ["sqlite:orders.db", &*format!("sqlite:{whole}")] {
            let told = scene.refused(&format!("{command} {address}"), 2);
            assert!(told.contains("the store itself"), "{told}");
        }
    }
}

/// What is there already, and what others write beside it, is overwritten by nobody who does not mean it.
#[tokio::test]
async fn an_export_leaves_alone_what_is_no_file_of_events() {
    let scene = Scene::new().await;
    let path = |file: &str| scene.folder.path().join(file);
    fs::write(path("events.jsonl.part"), "mine").unwrap();
    fs::create_dir(path("folder")).unwrap();
    scene.printed("export events.jsonl");
    assert_eq!(fs::read_to_string(path("events.jsonl.part")).unwrap(), "mine");
    assert!(scene.refused("export folder --yes", 1).contains("a folder"));
    let told = scene.refused("export sqlite:new.db", 2);
    assert!(told.contains("event-sourcery copy") && !path("sqlite:new.db").exists(), "{told}");
    let others = fs::read_dir(scene.folder.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
        name.ends_with(".part") && name != "events.jsonl.part"
    });
    assert_eq!(others.count(), 0, "what was on its way is kept or removed");
}

/// What goes on tells at once what it leaves out, for its exit code does not.
#[cfg(unix)]
#[tokio::test]
async fn a_copy_that_goes_on_tells_what_it_leaves_out() {
    let scene = Scene::new().await;
    on(&scene, "new.db", "stats");
    let spoil = "UPDATE event_sourcery_events SET created_at = 'yesterday' WHERE name = 'Issued'";
    rusqlite::Connection::open(scene.folder.path().join("orders.db")).unwrap().execute(spoil, []).unwrap();
    let mut follow = scene.program();
    follow.args(["copy", "sqlite:new.db", "--follow", "--yes"]).stderr(Stdio::piped());
    let mut follow = follow.spawn().unwrap();
    let mut told = String::new();
    BufReader::new(follow.stderr.take().unwrap()).read_line(&mut told).unwrap();
    assert!(told.starts_with("left out, at position 3: "), "{told}");
    Command::new("kill").args(["-INT", &follow.id().to_string()]).status().unwrap();
    assert_eq!(follow.wait().unwrap().code(), Some(0));
}

/// Ctrl-C is how it ends: there is nothing to complain of.
#[cfg(unix)]
#[tokio::test]
async fn a_copy_that_goes_on_ends_well_with_ctrl_c() {
    let scene = Scene::new().await;
    on(&scene, "new.db", "stats");
    let mut follow = scene.program();
    follow.args(["copy", "sqlite:new.db", "--follow", "--yes"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let follow = follow.spawn().unwrap();
    let new = EventStore::new(SqliteBackend::open(scene.folder.path().join("new.db")).await.unwrap());
    let has = async |events: i64| {
        while new.position().await.unwrap().to_i64() < events {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    has(4).await;
    let store = EventStore::new(scene.backend().await);
    store.append(&StreamId::random(), RawEvent::new("Viewed", "{}").unwrap()).await.unwrap();
    has(5).await;
    Command::new("kill").args(["-INT", &follow.id().to_string()]).status().unwrap();
    let ended = follow.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!((ended.status.code(), errors.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_file_of_events_is_written_whole_and_read_again() {
    let scene = Scene::new().await;
    let path = |file: &str| scene.folder.path().join(file);
    assert_eq!(scene.json("export events.jsonl")["events"], 4);
    let file = fs::read_to_string(path("events.jsonl")).unwrap();
    assert_eq!(file.lines().count(), 6);
    assert!(scene.refused("export events.jsonl", 1).contains("--yes"), "it is there already");
    assert_eq!(scene.printed("export"), file);
    assert!(scene.refused("export nowhere/events.jsonl", 1).contains("cannot be written"));

    let imported = document(&on(&scene, "new.db", "import events.jsonl --yes --json"));
    assert_eq!((&imported["written"], &imported["is_clean"]), (&json!(4), &json!(true)));
    assert_eq!(document(&on(&scene, "new.db", "import events.jsonl --compare --json"))["is_equal"], true);
    scene.printed("compare sqlite:new.db");

    fs::write(path("half.jsonl"), file.split_at(file.len() / 2).0).unwrap();
    let half = on(&scene, "third.db", "import half.jsonl --yes");
    let told = String::from_utf8_lossy(&half.stderr).into_owned();
    assert!(half.status.code() == Some(1) && told.contains("line ") && told.contains("to do: "), "{told}");
}

/// What cannot be read is left out, and told by the exit code too.
#[tokio::test]
async fn a_file_that_is_not_all_is_told() {
    let scene = Scene::new().await;
    let spoil = "UPDATE event_sourcery_events SET created_at = 'yesterday' WHERE name = 'Issued'";
    rusqlite::Connection::open(scene.folder.path().join("orders.db")).unwrap().execute(spoil, []).unwrap();
    for arguments in ["export events.jsonl --json", "export"] {
        let exported = scene.run(arguments);
        assert_eq!(exported.status.code(), Some(1), "{arguments}");
    }
    let document = document(&scene.run("export events.jsonl --yes --json"));
    assert_eq!((&document["left_out"], &document["described"][0]["position"]), (&json!(1), &json!(3)));
}

/// An import that is interrupted says that it goes on, and does: each event is there once.
#[cfg(unix)]
#[tokio::test]
async fn an_import_that_is_interrupted_goes_on() {
    let scene = Scene::new().await;
    let store = EventStore::new(scene.backend().await);
    let stream = StreamId::from_name("orders/2000").unwrap();
    let event = || RawEvent::new("Viewed", "{}").unwrap();
    store.append(&stream, std::iter::repeat_with(event).take(1_000).collect::<Vec<_>>()).await.unwrap();
    let file = scene.printed("export");
    on(&scene, "new.db", "stats");

    // It has read most of the file, and the rest does not come.
    let mut import = program(scene.folder.path(), "sqlite:new.db");
    import.args(["import", "-", "--yes"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut import = import.spawn().unwrap();
    let mut input = import.stdin.take().unwrap();
    input.write_all(file.split_at(file.len() * 9 / 10).0.as_bytes()).unwrap();
    let new = EventStore::new(SqliteBackend::open(scene.folder.path().join("new.db")).await.unwrap());
    while new.position().await.unwrap().to_i64() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Command::new("kill").args(["-INT", &import.id().to_string()]).status().unwrap();
    let ended = import.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(130) && told.contains("goes on from there"), "{told}");
    drop(input);

    fs::write(scene.folder.path().join("events.jsonl"), file).unwrap();
    let imported = document(&on(&scene, "new.db", "import events.jsonl --yes --json"));
    let (present, written) = (imported["present"].as_u64().unwrap(), imported["written"].as_u64().unwrap());
    assert!(present > 0 && written > 0 && present + written == 1_004, "{imported}");
}

/// As `eventsourcing` for Python keeps events, and goes on writing them.
#[tokio::test]
async fn the_store_of_another_library_is_looked_at_imported_and_compared() {
    let scene = Scene::new().await;
    let path = |file: &str| scene.folder.path().join(file);
    let bank = rusqlite::Connection::open(path("bank.db")).unwrap();
    let table = "CREATE TABLE stored_events (originator_id TEXT, originator_version INTEGER, topic TEXT, state BLOB, \
                 PRIMARY KEY (originator_id, originator_version))";
    bank.execute(table, []).unwrap();
    let paid = |version: i64| {
        let insert = "INSERT INTO stored_events VALUES ('a', ?1, 'Bank:Paid', \
                      CAST('{\"timestamp\": \"2026-03-01T12:00:00+00:00\"}' AS BLOB))";
        bank.execute(insert, [version]).unwrap();
    };
    paid(1);
    fs::write(path("mapping.json"), r#"{"from": "bank", "type_names": "last_part"}"#).unwrap();
    let import = |further: &str| {
        let from = "import --from eventsourcing sqlite:bank.db --mapping mapping.json --json";
        on(&scene, "new.db", &format!("{from} {further}"))
    };
    let planned = document(&import("--dry-run"));
    assert_eq!((&planned["events"], &planned["types"]["Paid"]), (&json!(1), &json!(1)));
    let unasked = import("");
    assert_eq!(
        (unasked.status.code(), import("--compare").status.code()),
        (Some(1), Some(1)),
        "nothing is there"
    );

    assert_eq!(document(&import("--mark bank.mark --yes"))["written"], 1);
    paid(2);
    let next = document(&import("--mark bank.mark --yes"));
    assert_eq!(
        (&next["written"], &next["present"]),
        (&json!(1), &json!(0)),
        "what is before the mark is not read again"
    );
    assert_eq!(document(&import("--compare"))["is_equal"], true);

    let unfit = |arguments: &str| scene.run(arguments).status.code();
    assert_eq!(unfit("import --from eventsourcing sqlite:bank.db --yes"), Some(2), "a mapping is wanted");
    assert_eq!(unfit("import --from message-db sqlite:bank.db --mapping mapping.json --yes"), Some(2));
    assert_eq!(
        unfit("import --from emmett sqlite:bank.db --mapping mapping.json --yes"),
        Some(2),
        "another layout"
    );
    fs::write(path("mapping.json"), r#"{"from": "bank", "colour": "blue"}"#).unwrap();
    assert_eq!(import("--dry-run").status.code(), Some(2));
}

/// The columns of mire that are read.
#[tokio::test]
async fn a_store_of_mire_is_looked_at() {
    let scene = Scene::new().await;
    let path = |file: &str| scene.folder.path().join(file);
    let bank = rusqlite::Connection::open(path("bank.db")).unwrap();
    let tables = "CREATE TABLE es_streams (stream_id TEXT NOT NULL, stream_category TEXT NOT NULL);
        CREATE TABLE es_events (global_position INTEGER PRIMARY KEY, stream_id TEXT NOT NULL,
            stream_category TEXT NOT NULL, stream_version INTEGER NOT NULL, event_type TEXT NOT NULL,
            data TEXT NOT NULL, metadata TEXT NOT NULL, created_at TEXT NOT NULL);
        INSERT INTO es_streams VALUES ('1', 'account');
        INSERT INTO es_events VALUES (1, '1', 'account', 1, 'Paid', '{}', '{}', '2026-03-01T12:00:00Z')";
    bank.execute_batch(tables).unwrap();
    fs::write(path("mapping.json"), r#"{"from": "bank"}"#).unwrap();
    let from = "import --from mire sqlite:bank.db --mapping mapping.json --dry-run --json";
    let planned = document(&on(&scene, "new.db", from));
    assert_eq!((&planned["events"], &planned["types"]["Paid"]), (&json!(1), &json!(1)));
}
