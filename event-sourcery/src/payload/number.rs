//! Numbers as JSON writes them, and as PostgreSQL's JSONB writes them out: without an exponent.

use std::borrow::Cow;

/// The parts of a JSON number.
struct Parts<'t> {
    sign: &'t str,
    whole: &'t str,
    fraction: &'t str,
    exponent: i64,
}

impl<'t> Parts<'t> {
    /// `None` for an exponent that no database takes.
    fn of(number: &'t str) -> Option<Self> {
        let (sign, unsigned) = number.split_at(usize::from(number.starts_with('-')));
        let (digits, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        Some(Self { sign, whole, fraction, exponent: i64::from(exponent.parse::<i32>().ok()?) })
    }
}

/// How many digits a number has, written out; `None` for more than can be counted.
pub(super) fn digits(number: &str) -> Option<usize> {
    let Parts { whole, fraction, exponent, .. } = Parts::of(number)?;
    let shifted = usize::try_from(exponent.unsigned_abs()).ok()?;
    whole.len().checked_add(fraction.len())?.checked_add(shifted)
}

/// A number as JSONB gives it back. It has to be one whose digits may be written out.
pub(super) fn written_out(number: &str) -> Cow<'_, str> {
    let Some(Parts { sign, whole, fraction, exponent }) =
        Parts::of(number).filter(|parts| parts.exponent != 0 || !parts.sign.is_empty())
    else {
        return Cow::Borrowed(number);
    };
    let digits = format!("{whole}{fraction}");
    let sign = if digits.bytes().all(|digit| digit == b'0') { "" } else { sign };
    let point = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(exponent);
    let Ok(point) = usize::try_from(point) else {
        let zeros = "0".repeat(usize::try_from(point.unsigned_abs()).unwrap_or(0));
        return Cow::Owned(format!("{sign}0.{zeros}{digits}"));
    };
    let (whole, fraction) = match digits.split_at_checked(point) {
        Some((whole, fraction)) => (whole.to_owned(), fraction),
        None => (format!("{digits}{}", "0".repeat(point - digits.len())), ""),
    };
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Cow::Owned(format!("{sign}{whole}{point}{fraction}"))
}

/// What a number is, however it is written: its sign, its digits without zeros at either end, and the power of ten of the last one.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Decimal {
    is_negative: bool,
    digits: String,
    power: i64,
}

impl Decimal {
    /// `None` for a word that is no number, and for an exponent that no database takes.
    pub(super) fn of(word: &str) -> Option<Self> {
        let Parts { sign, whole, fraction, exponent } = Parts::of(word)?;
        if !whole.starts_with(|digit: char| digit.is_ascii_digit()) {
            return None;
        }
        let digits = format!("{whole}{fraction}");
        let kept = digits.trim_end_matches('0');
        if kept.is_empty() {
            return Some(Self { is_negative: false, digits: String::new(), power: 0 });
        }
        let power = i64::try_from(whole.len()).ok()? + exponent - i64::try_from(kept.len()).ok()?;
        Some(Self { is_negative: !sign.is_empty(), digits: kept.trim_start_matches('0').to_owned(), power })
    }
}

/// Whether a number is zero, of either sign.
pub(super) fn is_zero(number: &str) -> bool {
    let digits = number.split(['e', 'E']).next().unwrap_or_default();
    digits.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponent_is_written_out() {
        for (number, out) in [
            ("1e16", "10000000000000000"),
            ("1.5e3", "1500"),
            ("1.50", "1.50"),
            ("12", "12"),
            ("-1E-3", "-0.001"),
            ("15e-1", "1.5"),
            ("1.5E+0", "1.5E+0"),
            ("-0.0", "0.0"),
            ("-7", "-7"),
            ("0.025e2", "2.5"),
            ("0.00e1", "0.0"),
        ] {
            assert_eq!(written_out(number), out, "{number}");
        }
    }

    #[test]
    fn digits_are_counted_as_they_would_be_written_out() {
        for (number, count) in [("1", 1), ("-1.50", 3), ("1e300", 301), ("1.5E-10", 12), ("0e99", 100)] {
            assert_eq!(digits(number), Some(count), "{number}");
        }
        assert_eq!(digits("1e99999999999"), None);
    }
}
