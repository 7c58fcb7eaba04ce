//! One pass over the text of a payload: finds what a store would bend, or choke on.

use std::collections::HashSet;

use serde::de::IgnoredAny;

use super::DEEPEST;
use super::number;
use crate::error::PayloadError;

/// The most digits of a number, written out: PostgreSQL writes out every exponent.
const MOST_DIGITS: usize = 1_000;

/// A number that is shorter and has no exponent has nothing to write out.
const SHORT: usize = 64;

/// So many keys are compared with each other.
const FEW_KEYS: usize = 8;

/// What was found out about a text.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    /// By how many bytes it grows when its numbers are written out.
    pub(super) growth: usize,
    /// Of each object, in the order in which they begin: whether JSONB would sort its keys.
    pub(super) would_sort: Vec<bool>,
}

/// Looks through the text of a JSON value. What is no JSON it refuses, if it comes upon it.
pub(super) fn scan(text: &str) -> Result<Scanned, PayloadError> {
    let mut scan =
        Scan { rest: text.as_bytes(), keys: Vec::new(), has_escapes: false, scanned: Scanned::default() };
    match scan.value(DEEPEST) {
        Ok(()) => Ok(scan.scanned),
        Err(refused) => Err(match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => refused.into(),
            Err(not_json) => not_json.into(),
        }),
    }
}

/// What is refused, and where it stands: the innermost key first.
struct Refused {
    what: What,
    place: Vec<String>,
}

enum What {
    KeyTwice(String),
    LongNumber,
    TooDeep,
    NotJson,
}

impl Refused {
    #[cold]
    fn new(what: What) -> Self {
        Self { what, place: Vec::new() }
    }

    #[cold]
    fn within(mut self, step: String) -> Self {
        self.place.push(step);
        self
    }
}

impl From<Refused> for PayloadError {
    fn from(Refused { what, mut place }: Refused) -> Self {
        place.reverse();
        let place = place.join(".");
        match what {
            What::KeyTwice(key) => Self::KeyTwice { key, place },
            What::LongNumber => Self::NumberTooLong { most: MOST_DIGITS, place },
            What::TooDeep => Self::TooDeep { deepest: DEEPEST },
            What::NotJson => Self::Serialize(serde::ser::Error::custom("it is no JSON")),
        }
    }
}

/// A key for an error.
fn shown(key: &[u8]) -> String {
    super::shown(&unescaped(key))
}

fn unescaped(key: &[u8]) -> String {
    let key = String::from_utf8_lossy(key);
    serde_json::from_str(&format!("\"{key}\"")).unwrap_or_else(|_| key.into_owned())
}

struct Scan<'t> {
    rest: &'t [u8],
    /// The keys of the objects that are open.
    keys: Vec<&'t [u8]>,
    /// Whether a text with an escape has been seen.
    has_escapes: bool,
    scanned: Scanned,
}

impl<'t> Scan<'t> {
    /// A value that may have so many levels.
    fn value(&mut self, levels: usize) -> Result<(), Refused> {
        self.space();
        match self.rest.first() {
            Some(b'{') => self.object(levels),
            Some(b'[') => self.list(levels),
            Some(b'"') => self.text().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't' | b'f' | b'n') => {
                self.take(|byte| byte.is_ascii_lowercase());
                Ok(())
            }
            _ => Err(Refused::new(What::NotJson)),
        }
    }

    fn object(&mut self, levels: usize) -> Result<(), Refused> {
        let inner = levels.checked_sub(1).ok_or_else(|| Refused::new(What::TooDeep))?;
        let (first, number) = (self.keys.len(), self.scanned.would_sort.len());
        self.scanned.would_sort.push(false);
        self.expect(b'{')?;
        self.space();
        let mut goes_on = !self.has(b'}');
        while goes_on {
            self.space();
            let key = self.text()?;
            self.keys.push(key);
            self.space();
            self.expect(b':')?;
            self.value(inner).map_err(|refused| refused.within(shown(key)))?;
            self.space();
            goes_on = self.has(b',');
            if !goes_on {
                self.expect(b'}')?;
            }
        }
        let keys = self.keys.get_mut(first..).unwrap_or_default();
        let is_sorted = !self.has_escapes && is_in_order_of_jsonb(keys);
        let twice = if is_sorted { None } else { twice(keys, self.has_escapes) };
        if let Some(would_sort) = self.scanned.would_sort.get_mut(number) {
            *would_sort = !is_sorted;
        }
        self.keys.truncate(first);
        twice.map_or(Ok(()), |key| Err(Refused::new(What::KeyTwice(shown(key)))))
    }

    fn list(&mut self, levels: usize) -> Result<(), Refused> {
        let inner = levels.checked_sub(1).ok_or_else(|| Refused::new(What::TooDeep))?;
        self.expect(b'[')?;
        self.space();
        let mut goes_on = !self.has(b']');
        let mut place = 0_usize;
        while goes_on {
            self.value(inner).map_err(|refused| refused.within(place.to_string()))?;
            place += 1;
            self.space();
            goes_on = self.has(b',');
            if !goes_on {
                self.expect(b']')?;
            }
        }
        Ok(())
    }

    /// A text, without its quotes.
    fn text(&mut self) -> Result<&'t [u8], Refused> {
        self.expect(b'"')?;
        let text = self.rest;
        let mut length = 0;
        loop {
            let rest = text.get(length..).unwrap_or_default();
            length += plain(rest);
            match text.get(length) {
                Some(b'"') => break,
                Some(_) => {
                    self.has_escapes = true;
                    length += 2;
                }
                None => return Err(Refused::new(What::NotJson)),
            }
        }
        let (text, rest) = text.split_at_checked(length).unwrap_or_default();
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(text)
    }

    fn number(&mut self) -> Result<(), Refused> {
        let mut has_exponent = false;
        let number = self.take(|byte| {
            has_exponent |= matches!(byte, b'e' | b'E');
            matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')
        });
        if !has_exponent && number.len() <= SHORT {
            return Ok(());
        }
        let digits = std::str::from_utf8(number).ok().and_then(number::digits);
        let digits = digits.filter(|digits| *digits <= MOST_DIGITS);
        let digits = digits.ok_or_else(|| Refused::new(What::LongNumber))?;
        self.scanned.growth += digits.saturating_sub(number.len());
        Ok(())
    }

    fn space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Takes this byte, if it is the next one.
    fn has(&mut self, byte: u8) -> bool {
        let rest = self.rest.strip_prefix(&[byte]);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, byte: u8) -> Result<(), Refused> {
        if self.has(byte) { Ok(()) } else { Err(Refused::new(What::NotJson)) }
    }

    /// Takes the bytes that are meant.
    fn take(&mut self, mut is_meant: impl FnMut(u8) -> bool) -> &'t [u8] {
        let length = self.rest.iter().position(|byte| !is_meant(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or_default();
        self.rest = rest;
        taken
    }
}

/// How many bytes come before the next quote or backslash. Eight at a time: most of a payload is text.
fn plain(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let is_special = |chunk: &[u8; 8]| {
        let word = u64::from_ne_bytes(*chunk);
        (has_zero(word ^ (ONES * u64::from(b'"'))) | has_zero(word ^ (ONES * u64::from(b'\\')))) != 0
    };
    let (chunks, _) = text.as_chunks::<8>();
    let length = chunks.iter().position(is_special).unwrap_or(chunks.len()) * 8;
    let rest = text.get(length..).unwrap_or_default();
    length + rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len())
}

/// By length, then by bytes; and then none stands twice.
fn is_in_order_of_jsonb(keys: &[&[u8]]) -> bool {
    keys.is_sorted_by(|one, next| (one.len(), one) < (next.len(), next))
}

/// A key that stands twice among these. Their order is not kept.
fn twice<'t>(keys: &mut [&'t [u8]], has_escapes: bool) -> Option<&'t [u8]> {
    if has_escapes && keys.iter().any(|key| key.contains(&b'\\')) {
        let mut seen = HashSet::new();
        return keys.iter().copied().find(|key| !seen.insert(unescaped(key)));
    }
    if keys.len() > FEW_KEYS {
        keys.sort_unstable();
        return keys
            .windows(2)
            .find_map(|pair| (pair.first() == pair.last()).then(|| pair.first().copied())?);
    }
    let mut later = keys.iter();
    while let Some(key) = later.next() {
        if later.as_slice().contains(key) {
            return Some(*key);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        scan(text).expect_err(text).to_string()
    }

    #[test]
    fn a_key_that_stands_twice_is_found_wherever_it_stands() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"b":{"a":1},"a":[]}"#,
            r#"{"x":[1,{"a":1, "b":2 ,"\u0061":3}]}"#,
            r#"{"é":1,"\u00e9":2}"#,
            r#"{"":1,"":2}"#,
            r#"{"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"1":0}"#,
        ] {
            assert!(matches!(scan(text), Err(PayloadError::KeyTwice { .. })), "{text}");
        }
        for text in [
            r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}"#,
            r#"{"a":"a","b":"\"a\":"}"#,
            r#"{"\"":1,"\\":2,"a":"{\"a\":1}"}"#,
            r#"{"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"10":0}"#,
            r#"{}"#,
        ] {
            assert!(scan(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_refused_is_named_with_its_place() {
        let text = r#"{"lines":[{},{"sums":{"net":1,"net":2}}]}"#;
        assert!(refused(text).contains("\"net\""), "{}", refused(text));
        assert!(refused(text).contains("lines.1.sums"), "{}", refused(text));
        let long = format!("{{\"{0}\":1,\"{0}\":2}}", "k".repeat(100));
        assert!(!refused(&long).contains(&"k".repeat(41)));
    }

    #[test]
    fn a_number_that_would_be_written_out_at_length_is_refused() {
        for number in
            ["1e1001", "1e131071", "-1E-99999", "0e-5000", "1e99999999999999999999", &"9".repeat(1_001)]
        {
            let text = format!("{{\"n\":[0,{number}]}}");
            assert!(matches!(scan(&text), Err(PayloadError::NumberTooLong { .. })), "{text}");
            assert!(refused(&text).contains("n.1"), "{}", refused(&text));
        }
        for number in [f64::MAX, f64::MIN_POSITIVE, f64::from_bits(1), 1.2345678901234567e-308] {
            let text = serde_json::to_string(&[number]).unwrap();
            assert!(scan(&text).unwrap().growth < 400, "{text}");
        }
        assert_eq!(scan(r#"{"n":[1e300,1e300,12]}"#).unwrap().growth, 2 * (301 - 5));
    }

    #[test]
    fn what_is_no_json_is_refused_and_nothing_panics() {
        let text = r#" {"a" : [1, -2.5e3, "x\"\\\u00e9" , true , null , {} , [] ] } "#;
        scan(text).unwrap();
        for end in 1..text.trim_end().len() {
            if let Some(part) = text.get(..end) {
                assert!(matches!(scan(part), Err(PayloadError::Serialize(_))), "{part}");
            }
        }
        for text in ["", "{1:2}", "{\"a\"1}", "{\"a\":}", "[1,]", "\"\\", "{\"a\":1;}"] {
            assert!(matches!(scan(text), Err(PayloadError::Serialize(_))), "{text}");
        }
    }
}
