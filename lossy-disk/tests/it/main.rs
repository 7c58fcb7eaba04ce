//! What a disk keeps when its power is cut. It takes root, and `/dev/fuse`.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use lossy_disk::LossyDisk;

/// A new file with this text, synced, whose name is not.
fn synced(path: &Path, text: &str) -> File {
    let mut file = File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.sync_all().unwrap();
    file
}

fn sync_folder(path: &Path) {
    File::open(path).unwrap().sync_all().unwrap();
}

/// The names in a folder, in order, each with the text of its file.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let text = |entry: fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
    };
    let mut texts: Vec<_> = entries.map(text).collect();
    texts.sort();
    texts
}

fn pair(name: &str, text: &str) -> (String, String) {
    (name.to_owned(), text.to_owned())
}

#[test]
fn of_a_file_what_was_synced_survives() {
    let mut disk = LossyDisk::mount();
    let folder = disk.path().to_owned();
    let mut file = synced(&folder.join("note"), "synced");
    sync_folder(&folder);
    file.write_all(b", and not synced").unwrap();
    file.set_len(3).unwrap();
    drop(file);
    assert_eq!(texts(&folder), [pair("note", "syn")], "as long as there is power");
    disk.lose_power();
    assert_eq!(texts(&folder), [pair("note", "synced")]);
}

#[test]
fn a_name_survives_once_its_folder_was_synced() {
    let mut disk = LossyDisk::mount();
    let folder = disk.path().to_owned();
    for name in ["deleted", "renamed", "kept"] {
        synced(&folder.join(name), name);
    }
    sync_folder(&folder);
    fs::remove_file(folder.join("deleted")).unwrap();
    fs::rename(folder.join("renamed"), folder.join("kept")).unwrap();
    synced(&folder.join("new"), "new");
    assert_eq!(texts(&folder), [pair("kept", "renamed"), pair("new", "new")]);
    disk.lose_power();
    assert_eq!(texts(&folder), ["deleted", "kept", "renamed"].map(|name| pair(name, name)));
}

#[test]
fn what_was_there_long_before_survives_with_its_folders_and_links() {
    let mut disk = LossyDisk::mount();
    let folder = disk.path().to_owned();
    fs::create_dir(folder.join("inner")).unwrap();
    fs::write(folder.join("inner/note"), "long ago").unwrap();
    fs::hard_link(folder.join("inner/note"), folder.join("link")).unwrap();
    disk.sync();
    fs::remove_dir_all(folder.join("inner")).unwrap();
    assert_eq!(texts(&folder), [pair("link", "long ago")]);
    disk.lose_power();
    assert_eq!(texts(&folder.join("inner")), [pair("note", "long ago")]);
    assert_eq!(fs::read_to_string(folder.join("link")).unwrap(), "long ago");
}
