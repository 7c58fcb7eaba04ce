//! What errors quote of stored values: the beginning. A payload is nobody's business who reads a log.

/// The most characters of a value in an error.
pub(crate) const QUOTED: usize = 40;

/// The most characters of what a type's own code says, which may be anything.
const SAID: usize = 200;

/// The beginning of a value, with a mark where it goes on.
pub(crate) fn shortened(value: &str, characters: usize) -> String {
    match value.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", value.split_at_checked(end).map_or("", |(shown, _)| shown)),
        None => value.to_owned(),
    }
}

/// An error of serde's that quotes no more of a value than that. It still tells the line and the column.
pub(crate) fn without_values(error: serde_json::Error) -> serde_json::Error {
    // The words about what is no JSON, or could not be read, are serde_json's own.
    if !error.is_data() {
        return error;
    }
    let text = error.to_string();
    // As serde_json tells it, and finds it again. An error of a value that is no text has no line.
    let place = format!(" at line {} column {}", error.line(), error.column());
    let (words, place) = text.strip_suffix(&*place).map_or((&*text, ""), |words| (words, &*place));
    let shown = serdes_own(words).unwrap_or_else(|| said(words));
    serde::de::Error::custom(format!("{shown}{place}"))
}

/// What serde says of a value, and what it expected, which is the type's.
fn serdes_own(words: &str) -> Option<String> {
    const FOUND: [(&str, &str); 6] = [
        ("invalid type: ", ", expected "),
        ("invalid value: ", ", expected "),
        ("unknown variant `", "`, expected "),
        ("unknown variant `", "`, there are no variants"),
        ("unknown field `", "`, expected "),
        ("unknown field `", "`, there are no fields"),
    ];
    FOUND.iter().find_map(|(before, behind)| {
        let (found, expected) = words.strip_prefix(before)?.rsplit_once(behind)?;
        // The type's own words, as far as they are serde's.
        Some(format!("{before}{}{behind}{}", shortened(found, QUOTED), shortened(expected, SAID)))
    })
}

/// What a type's own code says: what stands in quotes is likely a value.
pub(crate) fn said(words: &str) -> String {
    let mut shown = String::new();
    for (number, part) in words.split_inclusive(['"', '`']).enumerate() {
        if number % 2 == 0 {
            shown.push_str(part);
        } else {
            let value = part.trim_end_matches(['"', '`']);
            shown.push_str(&shortened(value, QUOTED));
            shown.push_str(part.strip_prefix(value).unwrap_or_default());
        }
    }
    shortened(&shown, SAID)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::*;

    /// Longer than what is quoted.
    fn secret() -> String {
        "4111 \"`', expected ".repeat(100_000)
    }

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    enum Colour {
        Red,
        Holding { _shade: u8 },
    }

    #[derive(Deserialize, Debug)]
    enum Never {}

    fn problem<T: DeserializeOwned + std::fmt::Debug>(json: &serde_json::Value) -> String {
        let cut = without_values(serde_json::from_str::<T>(&json.to_string()).unwrap_err());
        assert!(format!("{cut:?}").len() < 600, "{cut:?}");
        cut.to_string()
    }

    #[track_caller]
    fn assert_shows(problem: &str, parts: &[&str]) {
        assert!(problem.chars().count() < 400, "{problem}");
        for part in parts {
            assert!(problem.contains(part), "{problem}: {part}");
        }
        assert!(problem.matches("4111").count() <= 3, "{problem}");
    }

    #[test]
    fn what_serde_says_keeps_what_was_expected_and_where() {
        let text = serde_json::json!(secret());
        let numbers = problem::<BTreeMap<String, u8>>(&serde_json::json!({ "a": secret() }));
        assert_shows(&numbers, &["invalid type: string \"4111", "…, expected u8 at line 1 column"]);
        let ip = problem::<char>(&text);
        assert_shows(&ip, &["invalid value: string \"4111", "…, expected a character"]);
        assert_shows(&problem::<Colour>(&text), &["unknown variant `4111", "expected `Red` or `Holding`"]);
        assert_shows(&problem::<Never>(&text), &["unknown variant `4111", "there are no variants"]);
        let field = problem::<Colour>(&serde_json::json!({ "Holding": { (secret()): 1 } }));
        assert_shows(&field, &["unknown field `4111", "expected `_shade`", "at line 1"]);
    }

    #[test]
    fn what_a_type_says_itself_is_cut() {
        #[derive(Debug)]
        struct Card;
        impl<'de> Deserialize<'de> for Card {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let number = String::deserialize(from)?;
                Err(serde::de::Error::custom(format!("no card has the number \"{number}\"")))
            }
        }
        let problem = problem::<Card>(&serde_json::json!("4111".repeat(1_000_000)));
        assert!(problem.starts_with("no card has the number \"4111"), "{problem}");
        assert!(problem.len() < 100, "{problem}");
    }

    #[test]
    fn what_is_short_stays_as_it_is() {
        let error = serde_json::from_str::<Vec<u8>>("[\"one\"]").unwrap_err();
        let told = (error.to_string(), error.line(), error.column());
        let cut = without_values(error);
        assert_eq!((cut.to_string(), cut.line(), cut.column()), told);
        assert_eq!(
            said("an amount has to be above 0, and it's not"),
            "an amount has to be above 0, and it's not"
        );
    }
}
