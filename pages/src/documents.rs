//! The documents, from this crate's folder.

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn documents() -> Vec<PathBuf> {
    let crates = [
        "",
        "event-sourcery",
        "event-sourcery-browser",
        "event-sourcery-cli",
        "event-sourcery-cloudevents",
        "event-sourcery-conformance",
        "event-sourcery-import",
        "event-sourcery-macros",
        "event-sourcery-mcp",
        "event-sourcery-nats",
        "event-sourcery-openbao",
        "event-sourcery-opentelemetry",
        "event-sourcery-postgres",
        "event-sourcery-publish-nats",
        "event-sourcery-publish-rabbitmq",
        "event-sourcery-publish-webhook",
        "event-sourcery-sqlite",
    ];
    let folders =
        crates.into_iter().chain(["event-sourcery/guide"]).map(|folder| Path::new("..").join(folder));
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    files.filter(|file| file.extension().is_some_and(|extension| extension == "md")).collect()
}

/// A document's words, without its code.
pub(crate) fn prose(document: &str) -> String {
    document.split("```").step_by(2).collect()
}
