//! What a crate's folder explains goes with the crate, to whoever reads its sources from the registry.

use std::fs;

use crate::documents::documents;

#[test]
fn a_crate_that_explains_its_architecture_has_that_in_its_package() {
    let mut crates = 0;
    for document in documents().iter().filter(|document| document.ends_with("ARCHITECTURE.md")) {
        // That of the whole is no crate's.
        let manifest = fs::read_to_string(document.with_file_name("Cargo.toml")).unwrap();
        let Some(include) = manifest.lines().find(|line| line.starts_with("include = ")) else { continue };
        assert!(include.contains("\"/ARCHITECTURE.md\""), "{} is left out of {include}", document.display());
        crates += 1;
    }
    assert!(crates > 0, "there are such crates");
}
