//! What the documents write as code is there: each word of it stands somewhere in the sources.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::documents::{documents, prose};

const SOURCES: [&str; 27] = [
    "../Cargo.toml",
    "../bench/peers/compare/src",
    "../bench/peers/harness/src",
    "../bench/results",
    "../bench/src",
    "../broker-cluster",
    "../event-sourcery",
    "../event-sourcery-browser",
    "../event-sourcery-cli",
    "../event-sourcery-cloudevents",
    "../event-sourcery-conformance",
    "../event-sourcery-import",
    "../event-sourcery-macros",
    "../event-sourcery-mcp",
    "../event-sourcery-nats",
    "../event-sourcery-openbao",
    "../event-sourcery-opentelemetry",
    "../event-sourcery-postgres",
    "../event-sourcery-publish-nats",
    "../event-sourcery-publish-rabbitmq",
    "../event-sourcery-publish-webhook",
    "../event-sourcery-sqlite",
    "../findings",
    "../justfile",
    "../killed",
    "../reference",
    "../scripts",
];

/// What is named because it is another program's, or because it is not to be written.
const OTHERS: [&str; 17] = [
    "0077",
    "0644",
    "AnotherStreamWithThisNameButOtherIdExists",
    "BUFFERS",
    "CantProjectUnversionedEvent",
    "IndexMap",
    "QualifiedName",
    "TIMING",
    "VersioningMismatch",
    "build_iter",
    "deadlock_timeout",
    "helpers",
    "manager",
    "pg_cancel_backend",
    "tcp_keepalives_idle",
    "utils",
    "with_reason",
];

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|each: char| !each.is_alphanumeric() && each != '_').filter(|word| !word.is_empty())
}

/// The words of all sources, and those of the names of files and folders.
fn collect(path: &Path, known: &mut HashSet<String>) {
    let mut add = |text: &str| known.extend(words(text).map(str::to_owned));
    add(&path.file_name().unwrap().to_string_lossy());
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| collect(&entry.unwrap().path(), known));
    } else if path.extension().is_none_or(|extension| extension != "md") {
        add(&String::from_utf8_lossy(&fs::read(path).unwrap()));
    }
}

#[test]
fn every_name_in_the_documents_is_one() {
    let mut known = HashSet::from(OTHERS.map(str::to_owned));
    SOURCES.iter().for_each(|source| collect(Path::new(source), &mut known));
    let mut missing = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let in_its_code: HashSet<_> = text.split("```").skip(1).step_by(2).flat_map(words).collect();
        let named = prose(&text);
        let named = named.split('`').skip(1).step_by(2).flat_map(words);
        let unknown = named.filter(|word| !in_its_code.contains(word) && !known.contains(*word));
        missing.extend(unknown.map(|word| format!("{}: {word}", document.display())));
    }
    assert!(missing.is_empty(), "these are in no source: {missing:#?}");
}
