//! A search for what is personal, as it is and as it may be written.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{OPEN, SECRETS};

/// What is searched for: a text, in one of the forms in which it may stand somewhere.
struct Wanted {
    text: &'static str,
    bytes: Vec<u8>,
}

/// As UTF-8 and UTF-16, in hexadecimal, and in base64 however it lies in what is around it.
fn forms(text: &'static str) -> impl Iterator<Item = Wanted> {
    let utf_16 = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hexadecimal = text.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
    let mut forms = vec![text.as_bytes().to_vec(), utf_16, hexadecimal];
    for before in 0..3 {
        let encoded = STANDARD.encode([vec![0; before], text.as_bytes().to_vec()].concat());
        // Its ends depend on what is around it.
        let whole = encoded.get((before * 4).div_ceil(3)..encoded.len() - 4);
        forms.extend(whole.map(|whole| whole.as_bytes().to_vec()));
    }
    forms.into_iter().map(move |bytes| Wanted { text, bytes })
}

/// Which of the texts stand in these bytes, in whatever form.
pub fn found_in(bytes: &[u8]) -> BTreeSet<&'static str> {
    let wanted: Vec<_> = SECRETS.into_iter().chain([OPEN]).flat_map(forms).collect();
    // One pass: most bytes begin none of them.
    let mut by_first: [Vec<&Wanted>; 256] = std::array::from_fn(|_| Vec::new());
    for one in &wanted {
        by_first[usize::from(one.bytes[0])].push(one);
    }
    let mut found = BTreeSet::new();
    for (place, first) in bytes.iter().enumerate() {
        for one in &by_first[usize::from(*first)] {
            if bytes[place..].starts_with(&one.bytes) {
                found.insert(one.text);
            }
        }
    }
    found
}

/// Which of them stand in a file of this folder, or of those in it.
pub fn found_in_folder(folder: &Path) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(found_in_folder(&path));
        } else {
            // A database removes files as it goes.
            found.extend(found_in(&fs::read(&path).unwrap_or_default()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_there_is_found_in_each_of_its_forms() {
        assert!(found_in(b"nothing of it").is_empty());
        for around in ["", "a", "ab", "abc"] {
            let text = format!("{around}{}{around}", SECRETS[0]);
            let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let hexadecimal: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            for written in [
                text.clone().into_bytes(),
                utf_16,
                hexadecimal.into_bytes(),
                STANDARD.encode(&text).into_bytes(),
            ] {
                assert_eq!(found_in(&written), BTreeSet::from([SECRETS[0]]), "{written:?}");
            }
        }
    }
}
