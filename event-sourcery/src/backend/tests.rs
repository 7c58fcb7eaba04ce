//! The rules of [the plain data](super) that every request and answer follows.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What a backend has to handle case by case: each says why.
const EXHAUSTIVE: [&str; 5] = ["AppendOutcome", "Expectation", "Span", "StreamProgress", "StreamState"];

/// Each type with public parts of this folder: whether it is an enum, its name, and what stands above it.
fn types() -> Vec<(bool, String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/backend");
    let mut types = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for (at, _) in text.match_indices("\npub ") {
            let (above, declared) = (&text[..at], &text[at + 5..]);
            let is_enum = declared.starts_with("enum ");
            let Some(rest) = declared.strip_prefix("struct ").or_else(|| declared.strip_prefix("enum "))
            else {
                continue;
            };
            let body = rest.split("\n}").next().unwrap();
            if is_enum || body.contains("\n    pub ") {
                let name = rest.split([' ', '<', ';', '(']).next().unwrap().to_owned();
                types.push((is_enum, name, above.rsplit("\n\n").next().unwrap().to_owned()));
            }
        }
    }
    types
}

#[test]
fn every_request_and_answer_can_grow_and_what_a_backend_has_to_handle_cannot() {
    let types = types();
    assert!(types.len() > 30, "{types:?}");
    let exhaustive = types.iter().filter(|(_, _, above)| !above.contains("#[non_exhaustive]"));
    let exhaustive: BTreeSet<_> = exhaustive.map(|(_, name, _)| &**name).collect();
    assert_eq!(exhaustive, BTreeSet::from(EXHAUSTIVE));
    for (is_enum, name, above) in &types {
        assert_eq!(EXHAUSTIVE.contains(&&**name), above.contains("Exhaustive on purpose: "), "{name}");
        assert!(*is_enum || !above.contains("on purpose"), "{name}");
    }
}
