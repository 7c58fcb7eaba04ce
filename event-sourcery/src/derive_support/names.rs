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

/// Fails the build when two variants, each given with its names, share one; `TOTAL` is how many names there are.
#[track_caller]
pub const fn assert_distinct<const TOTAL: usize>(variants: &[(&str, &[&str])]) {
    let mut seen = Seen::<TOTAL>::new();
    let mut index = 0;
    while index < variants.len() {
        let (variant, mut names) = variants[index];
        while let [name, others @ ..] = names {
            if let Some(earlier) = seen.variant_of(name) {
                refuse(&[
                    "the variants `",
                    earlier,
                    "` and `",
                    variant,
                    "` both decode events of the name `",
                    name,
                    "`: give one of the two events another name, `#[event(name = \"..\")]`",
                ]);
            }
            seen.insert(name, variant);
            names = others;
        }
        index += 1;
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

/// The names met so far in a hash table: with each compared to each, an enum of hundreds would compile for seconds.
struct Seen<'a, const TOTAL: usize> {
    /// Each name with its variant, in the order in which they came.
    names: [(&'a str, &'a str); TOTAL],
    count: usize,
    /// The newest name of each hash, and of each name the one before it that has the same hash.
    newest: [usize; TOTAL],
    previous: [usize; TOTAL],
}

impl<'a, const TOTAL: usize> Seen<'a, TOTAL> {
    const NONE: usize = usize::MAX;

    const fn new() -> Self {
        let none = [Self::NONE; TOTAL];
        Self { names: [("", ""); TOTAL], count: 0, newest: none, previous: none }
    }

    const fn variant_of(&self, name: &str) -> Option<&'a str> {
        let mut index = self.newest[Self::hash(name)];
        while index != Self::NONE {
            let (known, variant) = self.names[index];
            if equal(known.as_bytes(), name.as_bytes()) {
                return Some(variant);
            }
            index = self.previous[index];
        }
        None
    }

    const fn insert(&mut self, name: &'a str, variant: &'a str) {
        let hash = Self::hash(name);
        self.names[self.count] = (name, variant);
        self.previous[self.count] = self.newest[hash];
        self.newest[hash] = self.count;
        self.count += 1;
    }

    const fn hash(name: &str) -> usize {
        let (mut bytes, mut hash) = (name.as_bytes(), 0);
        while let [byte, rest @ ..] = bytes {
            hash = (hash * 31 + *byte as usize) % TOTAL;
            bytes = rest;
        }
        hash
    }
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

const fn equal(mut left: &[u8], mut right: &[u8]) -> bool {
    while let ([one, left_rest @ ..], [other, right_rest @ ..]) = (left, right) {
        if *one != *other {
            return false;
        }
        (left, right) = (left_rest, right_rest);
    }
    left.is_empty() && right.is_empty()
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
    fn variants_without_a_shared_name_are_distinct() {
        assert_distinct::<5>(&[
            ("A", &["Paid", "Issued"]),
            ("B", &["Issue"]),
            ("C", &[]),
            ("D", &["Issuer", ""]),
        ]);
        assert_distinct::<0>(&[("A", &[])]);
    }

    #[test]
    #[should_panic(expected = "the variants `A` and `C` both decode events of the name `b`: give one")]
    fn the_refusal_names_both_variants_and_the_shared_name() {
        assert_distinct::<5>(&[("A", &["a", "b"]), ("B", &["c"]), ("C", &["d", "b"])]);
    }

    #[test]
    #[should_panic(expected = "the variant `A` holds a type that decodes events of every name: write")]
    fn a_type_that_decodes_every_name_is_refused() {
        assert_names_its_events("A", true);
    }
}
