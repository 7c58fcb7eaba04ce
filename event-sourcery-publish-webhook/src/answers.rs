//! What a receiver answers, and whose fault it says that it is.
//!
//! A 500 is the message's fault where the receiver has accepted another one of the same round, and the receiver's where it has not.

use std::time::{Duration, SystemTime};

use event_sourcery::outbox::PublishError;
use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};

/// The receiver has answered, and not accepted the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the receiver answered {status}{}", elsewhere(*is_redirect))]
#[non_exhaustive]
pub struct NotAccepted {
    /// The status.
    pub status: u16,
    /// Whether it leads elsewhere.
    pub is_redirect: bool,
}

fn elsewhere(is_redirect: bool) -> &'static str {
    if is_redirect { ", and redirects are not followed: give the address that it leads to" } else { "" }
}

/// What an answer says of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    /// This message is not accepted.
    Refused(NotAccepted, Option<Duration>),
    /// The receiver takes nothing for now.
    Away(NotAccepted, Option<Duration>),
    /// The receiver has failed: at this message, or at anything.
    Failed(NotAccepted, Option<Duration>),
}

impl Answer {
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Self {
        if status.is_success() {
            return Self::Accepted;
        }
        let told = NotAccepted { status: status.as_u16(), is_redirect: status.is_redirection() };
        let pause = retry_after(headers, now);
        match status.as_u16() {
            // The address, the right to send there, the gateway before it: nothing that another message would change.
            300..=399 | 401 | 402 | 403 | 404 | 405 | 407 | 408 | 410 | 421 | 425 | 426 | 429 => {
                Self::Away(told, pause)
            }
            502..=504 | 507 | 509 | 511 | 520..=530 => Self::Away(told, pause),
            400..=499 => Self::Refused(told, pause),
            _ => Self::Failed(told, pause),
        }
    }

    /// As a publisher answers, where it is known whether the receiver has accepted others meanwhile.
    pub(crate) fn into_result(self, accepts_others: bool) -> Result<(), PublishError> {
        let (error, pause) = match self {
            Self::Accepted => return Ok(()),
            Self::Refused(told, pause) => (PublishError::refused(told), pause),
            Self::Failed(told, pause) if accepts_others => (PublishError::refused(told), pause),
            Self::Away(told, pause) | Self::Failed(told, pause) => (PublishError::away(told), pause),
        };
        Err(match pause {
            Some(pause) => error.with_retry_after(pause),
            None => error,
        })
    }
}

/// How long to wait, as seconds or as a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let said = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = said.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(said).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn answer(status: u16) -> Answer {
        Answer::of(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn each_status_says_whose_fault_it_is() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(answer(status), Answer::Accepted, "{status}");
        }
        for status in [301, 302, 303, 304, 307, 308, 401, 403, 404, 405, 408, 410, 425, 429, 502, 503, 504] {
            assert!(answer(status).into_result(true).unwrap_err().is_away(), "{status}");
        }
        for status in [400, 406, 409, 411, 413, 415, 418, 422, 451] {
            assert!(answer(status).into_result(false).unwrap_err().is_refused(), "{status}");
        }
        for status in [500, 501, 508, 599] {
            assert!(answer(status).into_result(true).unwrap_err().is_refused(), "{status}");
            assert!(answer(status).into_result(false).unwrap_err().is_away(), "{status}");
        }
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        let pause = |said: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(said))]);
            let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
            let told = Answer::of(StatusCode::SERVICE_UNAVAILABLE, &headers, now).into_result(false);
            told.unwrap_err().retry_after()
        };
        assert_eq!(pause("120"), Some(Duration::from_secs(120)));
        assert_eq!(pause(" 0 "), Some(Duration::ZERO));
        assert_eq!(pause("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(pause("Sun, 06 Nov 1994 08:48:37 GMT"), Some(Duration::ZERO), "it is over");
        for nothing in ["", "-1", "soon", "1.5", "99999999999999999999999"] {
            assert_eq!(pause(nothing), None, "{nothing:?}");
        }
    }
}
