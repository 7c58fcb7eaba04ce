//! Times as the shared layout stores them: `YYYY-MM-DD HH:MM:SS.ffffff`, in UTC.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;

pub(crate) fn to_text(time: Timestamp) -> String {
    let at = Offset::UTC.to_datetime(time);
    let mut text = String::with_capacity(26);
    if at.year() < 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, "{:04}", at.year());
    } else {
        push(&mut text, at.year().into(), 1_000);
    }
    let rest = [
        ('-', at.month().into(), 10),
        ('-', at.day().into(), 10),
        (' ', at.hour().into(), 10),
        (':', at.minute().into(), 10),
        (':', at.second().into(), 10),
        ('.', at.subsec_nanosecond() / 1_000, 100_000),
    ];
    for (before, number, place) in rest {
        text.push(before);
        push(&mut text, number, place);
    }
    text
}

/// The digits of a number that is not negative, from a place on. Without the machinery of `write!`: the thread that writes makes this
/// text for each event.
fn push(text: &mut String, number: i32, mut place: i32) {
    while place > 0 {
        let digit = u32::try_from(number / place % 10).ok().and_then(|digit| char::from_digit(digit, 10));
        text.push(digit.unwrap_or('0'));
        place /= 10;
    }
}

/// A time as it reads back: in whole microseconds.
pub(crate) fn as_stored(time: Timestamp) -> Timestamp {
    // By parts: `Timestamp::from_microsecond` refuses the fractions of the last second that a `Timestamp` can be in.
    let nanoseconds = time.subsec_nanosecond();
    Timestamp::new(time.as_second(), nanoseconds - nanoseconds % 1_000).unwrap_or(time)
}

/// The time that a text says: in UTC, unless it names an offset.
pub(crate) fn from_text(text: &str) -> Result<Timestamp, &'static str> {
    let beyond = |_| "it is outside of the calendar that this program knows";
    if let Some(time) = as_we_write(text.as_bytes()) {
        return Offset::UTC.to_timestamp(time).map_err(beyond);
    }
    let parts = Pieces::parse(text).map_err(|_| "it is no time")?;
    let offset = match parts.to_numeric_offset() {
        None if parts.time_zone_annotation().is_some() => {
            return Err("it names a time zone without an offset");
        }
        offset => offset.unwrap_or(Offset::UTC),
    };
    let time = parts.time().ok_or("it is a day without a time")?;
    offset.to_timestamp(parts.date().to_datetime(time)).map_err(beyond)
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
    fn every_time_that_there_is_has_a_text() {
        for (time, text) in [
            (Timestamp::MIN, "-9999-01-02 01:59:59.000000"),
            (Timestamp::UNIX_EPOCH, "1970-01-01 00:00:00.000000"),
            (Timestamp::MAX, "9999-12-30 22:00:00.999999"),
        ] {
            assert_eq!(to_text(time), text);
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
    fn an_offset_counts() {
        let noon = from_text("2020-01-01 12:00:00.000000").unwrap();
        for text in [
            "2020-01-01 14:00:00+02:00",
            "2020-01-01T12:00:00Z",
            "2020-01-01 12:00:00.000000+00:00",
            "2020-01-01 06:30:00.000-05:30",
            "2020-01-01T14:00:00+02:00[Europe/Berlin]",
        ] {
            assert_eq!(from_text(text).unwrap(), noon, "{text}");
        }
        assert!(from_text("2020-01-01T14:00:00[Europe/Berlin]").is_err());
    }

    #[test]
    fn a_time_beyond_the_calendar_is_an_error() {
        for text in ["9999-12-31 23:59:59.999999", "9999-12-31 23:59:59+00:00", "10000-01-01 00:00:00"] {
            assert!(from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_time_is_an_error() {
        assert!(from_text("yesterday").is_err());
        assert!(from_text("2025-13-01 00:00:00.000000").is_err());
    }
}
