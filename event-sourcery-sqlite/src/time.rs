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

pub(crate) fn from_text(text: &str) -> Result<Timestamp, jiff::Error> {
    Offset::UTC.to_timestamp(text.parse::<DateTime>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_back_to_the_microsecond() {
        for text in ["2025-03-16 10:03:02.138667", "0001-01-01 00:00:00.000000", "1969-12-31 23:59:59.999999"] {
            assert_eq!(to_text(from_text(text).unwrap()), text);
        }
    }

    #[test]
    fn what_is_not_a_time_is_an_error() {
        assert!(from_text("yesterday").is_err());
        assert!(from_text("2025-13-01 00:00:00.000000").is_err());
    }
}
