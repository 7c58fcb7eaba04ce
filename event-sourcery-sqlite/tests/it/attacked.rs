//! What is personal stands in no byte that was written: not in the file, its log, a copy, an error or a line of a log.

use std::collections::BTreeSet;

use event_sourcery_conformance::attack::{Life, Log, OPEN, found_in, found_in_folder};

use crate::failures::Folder;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_is_found_in_any_byte_before_or_after_shredding() {
    let log = Log::taken_down();
    let folder = Folder::new();
    let in_files = || found_in_folder(folder.path().parent().unwrap());
    let store = folder.store().await;
    let mut life = Life::lead(store.erased()).await;
    assert_eq!(in_files(), BTreeSet::from([OPEN]));
    // A dump.
    let copy = folder.path().with_file_name("copy.db");
    folder.foreign_connection().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    assert_eq!(found_in(&std::fs::read(&copy).unwrap()), BTreeSet::from([OPEN]));
    assert_eq!(found_in(life.exported()), BTreeSet::from([OPEN]));

    life.forget().await;
    assert_eq!(in_files(), BTreeSet::from([OPEN]));
    assert_eq!(found_in(life.exported()), BTreeSet::from([OPEN]));
    assert_eq!(found_in(life.said().join("\n").as_bytes()), BTreeSet::new());
    drop((life, store));
    assert_eq!(in_files(), BTreeSet::from([OPEN]), "closed, too");
    assert_eq!(found_in(log.text().as_bytes()), BTreeSet::from([OPEN]));
}
