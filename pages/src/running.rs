//! Runs the programs that the pages are.

use std::env;
use std::process::Command;

use postgres_cluster::Server;

/// Says to a process that it is the program.
const IS_THE_PROGRAM: &str = "PAGES_RUN_THE_PROGRAM";

/// Runs a program as its reader would: as a process, in a folder of its own, with the address of a database of its own.
/// `module` holds the test `runs`, which calls this.
pub(crate) fn run(module: &str, program: impl FnOnce()) {
    if env::var_os(IS_THE_PROGRAM).is_some() {
        return program();
    }
    let (folder, database) = (tempfile::tempdir().unwrap(), Server::shared().create_database());
    let (_crate, path) = module.split_once("::").unwrap();
    let ended = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("{path}::runs"), "--nocapture"])
        .current_dir(&folder)
        .env(IS_THE_PROGRAM, "yes")
        .env("DATABASE_URL", database.url())
        // The page `evolving events` says when to set it.
        .env("EVENT_SOURCERY_UPDATE_LOCK", "1")
        .output()
        .unwrap();
    let (told, failed) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success() && told.contains("1 passed"), "{told}\n{failed}");
}
