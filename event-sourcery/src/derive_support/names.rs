//! The names of an enum that gathers other events: put together, and checked, while the caller's crate compiles.

#![expect(clippy::indexing_slicing, reason = "evaluated at compile time, where it would fail the build")]

/// How many names the lists hold together.
#[must_use]
pub const fn count(lists: &[&[&str]]) -> usize {
    let (mut total, mut list) = (0, 0);
    while list < lists.len() {
        total += lists[list].len();
        list += 1;
    }
    total
}

/// The names of all lists in one array; `TOTAL` is their [`count`].
#[must_use]
pub const fn concat<const TOTAL: usize>(lists: &[&[&'static str]]) -> [&'static str; TOTAL] {
    let mut names = [""; TOTAL];
    let (mut filled, mut list) = (0, 0);
    while list < lists.len() {
        let mut name = 0;
        while name < lists[list].len() {
            names[filled] = lists[list][name];
            filled += 1;
            name += 1;
        }
        list += 1;
    }
    names
}

/// Whether a name is in the list.
#[must_use]
pub const fn contains(names: &[&str], name: &str) -> bool {
    let mut index = 0;
    while index < names.len() {
        if equal(names[index].as_bytes(), name.as_bytes()) {
            return true;
        }
        index += 1;
    }
    false
}

/// Fails the build when two variants, each given with its names, share one.
#[track_caller]
pub const fn assert_distinct(variants: &[(&str, &[&str])]) {
    let mut later = 0;
    while later < variants.len() {
        let mut earlier = 0;
        while earlier < later {
            if let Some(name) = shared(variants[earlier].1, variants[later].1) {
                refuse(&[
                    "the variants `",
                    variants[earlier].0,
                    "` and `",
                    variants[later].0,
                    "` both decode events of the name `",
                    name,
                    "`: give one of the two events another name, `#[event(name = \"..\")]`",
                ]);
            }
            earlier += 1;
        }
        later += 1;
    }
}

/// Fails the build when a variant holds a type that decodes every name.
#[track_caller]
pub const fn assert_names_its_events(variant: &str, catch_all: bool) {
    if catch_all {
        refuse(&[
            "the variant `",
            variant,
            "` holds a type that decodes events of every name: write `#[event(catch_all)] ",
            variant,
            "(RawEvent)`, or move the catch-all of that type to this enum",
        ]);
    }
}

const fn shared<'a>(names: &[&'a str], others: &[&str]) -> Option<&'a str> {
    let mut index = 0;
    while index < names.len() {
        if contains(others, names[index]) {
            return Some(names[index]);
        }
        index += 1;
    }
    None
}

#[track_caller]
#[expect(clippy::panic, reason = "evaluated at compile time, where it fails the build")]
const fn refuse(parts: &[&str]) -> ! {
    // An identifier has no limit of its own; of one that does not fit, the message loses its end.
    let mut text = [b' '; 2048];
    let (mut written, mut part) = (0, 0);
    while part < parts.len() {
        let (bytes, mut byte) = (parts[part].as_bytes(), 0);
        while byte < bytes.len() && written < text.len() {
            text[written] = bytes[byte];
            written += 1;
            byte += 1;
        }
        part += 1;
    }
    match std::str::from_utf8(text.split_at(written).0) {
        Ok(message) => panic!("{}", message),
        Err(_) => panic!("two variants of this enum decode the same events"),
    }
}

const fn equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_one_array_in_order() {
        const LISTS: &[&[&str]] = &[&["a", "b"], &[], &["c"]];
        const NAMES: [&str; count(LISTS)] = concat(LISTS);
        assert_eq!(NAMES, ["a", "b", "c"]);
    }

    #[test]
    fn a_name_is_in_a_list_only_as_a_whole() {
        assert!(contains(&["Paid", "Issued"], "Issued"));
        assert!(!contains(&["Paid", "Issued"], "Issue"));
        assert!(!contains(&["Paid", "Issued"], "Issuer"));
        assert!(!contains(&[], ""));
    }

    #[test]
    fn variants_without_a_shared_name_are_distinct() {
        assert_distinct(&[("A", &["a", "b"]), ("B", &["c"]), ("C", &[])]);
    }

    #[test]
    #[should_panic(expected = "the variants `A` and `C` both decode events of the name `b`: give one")]
    fn the_refusal_names_both_variants_and_the_shared_name() {
        assert_distinct(&[("A", &["a", "b"]), ("B", &["c"]), ("C", &["d", "b"])]);
    }
}
