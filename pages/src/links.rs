//! Every link of the documents leads to a file, a heading or a page of the guide that is there.

use std::fs;
use std::path::Path;

use crate::documents::{documents, prose};

/// What the links of a text lead to.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

/// A heading as it stands in an address.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|each| each.is_alphanumeric() || [' ', '-', '_'].contains(each));
    kept.map(|each| if each == ' ' { '-' } else { each }).collect::<String>().to_lowercase()
}

fn has_heading(document: &str, wanted: &str) -> bool {
    prose(document)
        .lines()
        .any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#').trim()) == wanted)
}

/// Whether the link leads anywhere. rustdoc looks after links to items, and nobody after those to other sites.
fn leads_somewhere(from: &Path, target: &str) -> bool {
    if target.starts_with("https://") {
        return true;
    }
    if let Some(item) = target.strip_prefix("crate::") {
        let page = item.strip_prefix("guide::").map(|page| page.replace('_', "-"));
        return page.is_none_or(|page| {
            Path::new("../event-sourcery/guide").join(page).with_extension("md").exists()
        });
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let file = if path.is_empty() { from.to_owned() } else { from.with_file_name(path) };
    file.exists() && (heading.is_empty() || has_heading(&fs::read_to_string(file).unwrap(), heading))
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    for document in documents() {
        let text = prose(&fs::read_to_string(&document).unwrap());
        for target in targets(&text) {
            assert!(leads_somewhere(&document, target), "{}: {target} is not there", document.display());
            count += 1;
        }
    }
    assert!(count > 30, "only {count} links were found");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let readme = Path::new("../README.md");
    let dead = ["MISSING.md", "event-sourcery/guide/operate.md#missing", "#missing", "crate::guide::missing"];
    assert_eq!(dead.map(|target| leads_somewhere(readme, target)), [false; 4]);
    assert!(leads_somewhere(readme, "event-sourcery/guide/react-to-events.md#what-can-happen"));
}
