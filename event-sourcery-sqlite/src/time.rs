//! Times as the shared layout stores them: `YYYY-MM-DD HH:MM:SS.ffffff`, in UTC.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

pub(crate) fn to_text(time: Timestamp) -> String {
    let at = Offset::UTC.to_datetime(time);
    let mut text = String::with_capacity(26);
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.subsec_nanosecond() / 1_000
    );
    text
}

/// A time as it reads back: in whole microseconds.
pub(crate) fn as_stored(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

pub(crate) fn from_text(text: &str) -> Result<Timestamp, jiff::Error> {
    let time = match as_we_write(text.as_bytes()) {
        Some(time) => time,
        None => text.parse()?,
    };
    Offset::UTC.to_timestamp(time)
}

/// The one form that is written, read without a parser that knows them all.
fn as_we_write(text: &[u8]) -> Option<DateTime> {
    let text: &[u8; 26] = text.try_into().ok()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b' ', rest @ ..] = text else { return None };
    let [h1, h2, b':', n1, n2, b':', s1, s2, b'.', micros @ ..] = rest else { return None };
    let (year, month, day) = (number(&[*y1, *y2, *y3, *y4])?, number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*n1, *n2])?, number(&[*s1, *s2])?);
    let small = |number: i32| i8::try_from(number).ok();
    let nanos = number(micros)? * 1_000;
    let year = i16::try_from(year).ok()?;
    DateTime::new(year, small(month)?, small(day)?, small(hour)?, small(minute)?, small(second)?, nanos).ok()
}

fn number(digits: &[u8]) -> Option<i32> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_back_to_the_microsecond() {
        for text in ["2025-03-16 10:03:02.138667", "0001-01-01 00:00:00.000000", "1969-12-31 23:59:59.999999"]
        {
            assert_eq!(to_text(from_text(text).unwrap()), text);
        }
    }

    #[test]
    fn other_forms_are_read_too() {
        let six = from_text("2025-03-16 10:03:02.138000").unwrap();
        for text in ["2025-03-16 10:03:02.138", "2025-03-16T10:03:02.138000", "2025-03-16 10:03:02.138000000"]
        {
            assert_eq!(from_text(text).unwrap(), six);
        }
    }

    #[test]
    fn what_is_not_a_time_is_an_error() {
        assert!(from_text("yesterday").is_err());
        assert!(from_text("2025-13-01 00:00:00.000000").is_err());
    }
}
