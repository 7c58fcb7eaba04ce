//! Random values, as they may stand in a store that others write to, for whatever decodes what is stored.
//!
//! Each test of this kind runs for `EVENT_SOURCERY_FUZZ_SECONDS`, 1 unless set. A round that fails prints its seed;
//! `EVENT_SOURCERY_FUZZ_SEED` runs it again, alone.

mod calls;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use uuid::Uuid;

pub use self::calls::{fill, use_all};

/// Runs rounds until the time is up.
pub fn rounds(mut round: impl FnMut(&mut Random)) {
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().expect("it is a number"));
    if let Some(seed) = number("EVENT_SOURCERY_FUZZ_SEED") {
        return round(&mut Random(seed));
    }
    let time = Duration::from_secs(number("EVENT_SOURCERY_FUZZ_SECONDS").unwrap_or(1));
    let (began, first) = (Instant::now(), Uuid::new_v4().as_u64_pair().1);
    let mut seed = first;
    while began.elapsed() < time || seed == first {
        let ran = catch_unwind(AssertUnwindSafe(|| round(&mut Random(seed))));
        if let Err(panic) = ran {
            eprintln!("to run this round again: EVENT_SOURCERY_FUZZ_SEED={seed}");
            resume_unwind(panic);
        }
        seed = seed.wrapping_add(1);
    }
    println!("{} rounds", seed.wrapping_sub(first));
}

/// A source of values: the same ones for the same seed.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The values of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits. (SplitMix64, of Steele, Lea and Flood.)
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub fn one_of<'t, T: ?Sized>(&mut self, all: &[&'t T]) -> &'t T {
        all[self.below(all.len())]
    }

    /// A number: often a small one, or one at an end of a range.
    pub fn integer(&mut self) -> i64 {
        const ENDS: [i64; 10] =
            [i64::MIN, i64::MAX, i32::MIN as i64, i32::MAX as i64, u32::MAX as i64, 0, -1, 1, 1_023, 1_024];
        match self.below(4) {
            0 => self.bits() as i64,
            1 => ENDS[self.below(ENDS.len())].wrapping_add(self.below(3) as i64 - 1),
            _ => self.below(8) as i64,
        }
    }

    /// Any time there is.
    pub fn time(&mut self) -> Timestamp {
        let seconds = match self.below(3) {
            0 => Timestamp::MIN.as_second(),
            1 => Timestamp::MAX.as_second(),
            _ => self.integer(),
        };
        let seconds = seconds.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        Timestamp::new(seconds, self.below(1_000_000_000) as i32).unwrap_or(Timestamp::MAX)
    }

    /// A UUID: one of few, or any.
    pub fn uuid(&mut self) -> Uuid {
        match self.below(3) {
            0 => Uuid::from_u64_pair(self.bits(), self.bits()),
            1 => [Uuid::nil(), Uuid::max()][self.below(2)],
            _ => Uuid::from_u128(self.below(4) as u128),
        }
    }

    /// A text: of the kinds that are stored, damaged or not, or any.
    pub fn text(&mut self) -> String {
        const KNOWN: [&str; 24] = [
            "",
            "{}",
            "[]",
            "null",
            "\0",
            "a\0b",
            "'",
            "\"",
            "\\",
            "; DROP TABLE x",
            "noted",
            "é",
            "\u{1f600}",
            "\u{202e}",
            "2025-03-16 10:03:02.138667",
            "9999-12-31 23:59:59.999999",
            "2025-03-16T10:03:02+02:00",
            "infinity",
            "00000000000000000000000000000001",
            "00000000-0000-0000-0000-000000000001",
            "NaN",
            "-0",
            "1e999",
            "\u{7f}",
        ];
        let text = match self.below(6) {
            0 => self.json(4),
            1 => self.uuid().simple().to_string(),
            2 => self.time().to_string(),
            3 => self.characters(),
            _ => self.one_of(&KNOWN).to_owned(),
        };
        if self.once_in(4) { self.damaged(&text) } else { text }
    }

    fn characters(&mut self) -> String {
        let most = if self.once_in(50) { 3_000 } else { 12 };
        let length = self.below(most);
        (0..length)
            .filter_map(|_| {
                let end = self.one_of(&[&0x80, &0x800, &0x11_0000]);
                char::from_u32(self.below(*end) as u32)
            })
            .collect()
    }

    /// JSON, nested at most so deep, unless it is much deeper.
    pub fn json(&mut self, depth: usize) -> String {
        const SCALARS: [&str; 16] = [
            "null",
            "true",
            "0",
            "-0",
            "-0.0",
            "1e400",
            "1E-7",
            "18446744073709551616",
            "0.1",
            "123456789012345678901234567890",
            "\"\"",
            "\"\\u0000\"",
            "\"\\ud800\"",
            "\"\\\"\\\\\"",
            "\"1\"",
            "1e99999999999999999999",
        ];
        if self.once_in(400) {
            let levels = self.below(100_000);
            return format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        }
        let parts = self.below(4);
        match self.below(if depth == 0 { 4 } else { 8 }) {
            0 | 1 => self.one_of(&SCALARS).to_owned(),
            2 => self.integer().to_string(),
            3 => serde_json::Value::from(self.characters()).to_string(),
            4 => format!("[{}]", (0..parts).map(|_| self.json(depth - 1)).collect::<Vec<_>>().join(" , ")),
            _ => self.object(parts, depth - 1),
        }
    }

    /// A JSON object with keys that mean something.
    pub fn object(&mut self, fields: usize, depth: usize) -> String {
        const KEYS: [&str; 14] = [
            "number",
            "text",
            "list",
            "kind",
            "Card",
            "Cash",
            "shade",
            "more",
            "correlation_id",
            "components",
            "scope",
            "began",
            "handled",
            "present",
        ];
        let mut field = || {
            let key = if self.once_in(8) { self.characters() } else { self.one_of(&KEYS).to_owned() };
            format!("{}:{}", serde_json::Value::from(key), self.json(depth))
        };
        format!("{{{}}}", (0..fields).map(|_| field()).collect::<Vec<_>>().join(","))
    }

    /// This text with something left out, doubled, or put in.
    pub fn damaged(&mut self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(3) {
            let (from, to) = (self.below(characters.len() + 1), self.below(characters.len() + 1));
            let part = from.min(to)..from.max(to);
            match self.below(3) {
                0 => drop(characters.drain(part.start..part.end.min(part.start + 4))),
                1 => {
                    let doubled: Vec<char> = characters[part].iter().copied().take(64).collect();
                    characters.splice(to.min(from)..to.min(from), doubled);
                }
                _ => {
                    let inserted =
                        *self.one_of(&[&'"', &'\\', &'{', &']', &'0', &'-', &':', &'\0', &'é', &'+']);
                    characters.insert(from, inserted);
                }
            }
        }
        characters.into_iter().collect()
    }
}
