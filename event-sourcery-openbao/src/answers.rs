//! What OpenBao answers, and what it says of the question.

use hyper::StatusCode;
use serde::Deserialize;

use crate::client::Answer;
use crate::error::OpenBaoError;

/// An answer with what was asked for.
#[derive(Deserialize)]
struct Whole<T> {
    data: T,
}

/// An answer that says why not.
#[derive(Deserialize, Default)]
struct Errors {
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct Results<'a> {
    #[serde(borrow)]
    batch_results: Vec<One<'a>>,
}

/// What became of one item of a batch. What is base64 is not copied.
#[derive(Deserialize)]
pub(crate) struct One<'a> {
    #[serde(borrow, default)]
    pub(crate) ciphertext: Option<&'a str>,
    #[serde(borrow, default)]
    pub(crate) plaintext: Option<&'a str>,
    #[serde(default)]
    pub(crate) error: Option<String>,
}

impl Answer {
    /// What was asked for, if that is what it holds.
    pub(crate) fn data<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        serde_json::from_slice::<Whole<T>>(&self.body).ok().map(|whole| whole.data)
    }

    /// What became of each of so many items. Where one of them was refused, the status is 400, or 500.
    pub(crate) fn results(&self, count: usize) -> Option<Vec<One<'_>>> {
        let results = self.data::<Results<'_>>()?.batch_results;
        (results.len() == count).then_some(results)
    }

    /// Its words, where it says why not.
    fn errors(&self) -> Vec<String> {
        serde_json::from_slice::<Errors>(&self.body).unwrap_or_default().errors
    }

    fn says(&self, words: &str) -> bool {
        self.errors().iter().any(|said| said.contains(words))
    }

    /// It is routed, and what was asked for is not there.
    pub(crate) fn is_nothing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
            && serde_json::from_slice::<Errors>(&self.body).is_ok_and(|answer| answer.errors.is_empty())
    }

    /// Why it is not what was asked for, as far as the status says, and what the token needs for this path.
    pub(crate) fn refusal(&self, path: &str, capability: &'static str) -> OpenBaoError {
        let (path, status) = (path.to_owned(), self.status.as_u16());
        match status {
            200..=299 => OpenBaoError::Garbled,
            300..=399 => OpenBaoError::Redirected,
            401 | 403 => OpenBaoError::Denied { path, capability },
            404 => OpenBaoError::WrongRoute { path },
            503 if self.says("sealed") => OpenBaoError::Sealed,
            // What a replica answers that is behind, or a standby; and too many questions.
            412 | 429 | 472 | 473 | 500..=599 => OpenBaoError::Away { status },
            _ => OpenBaoError::refused(status, &self.errors().join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;

    use super::*;

    fn answer(status: u16, body: &'static str) -> Answer {
        Answer { status: StatusCode::from_u16(status).unwrap(), body: Bytes::from_static(body.as_bytes()) }
    }

    fn refusal(status: u16, body: &'static str) -> OpenBaoError {
        answer(status, body).refusal("transit/encrypt/customers", "update")
    }

    #[test]
    fn each_status_says_what_is_to_be_done() {
        assert!(matches!(refusal(200, "<html>"), OpenBaoError::Garbled));
        assert!(matches!(refusal(307, ""), OpenBaoError::Redirected));
        assert!(matches!(refusal(403, r#"{"errors":["permission denied"]}"#), OpenBaoError::Denied { .. }));
        assert!(matches!(refusal(404, r#"{"errors":["no handler"]}"#), OpenBaoError::WrongRoute { .. }));
        assert!(matches!(refusal(503, r#"{"errors":["Vault is sealed"]}"#), OpenBaoError::Sealed));
        for passes in [412, 429, 472, 473, 500, 502, 503, 504] {
            assert!(matches!(refusal(passes, "busy"), OpenBaoError::Away { status } if status == passes));
        }
        let other = refusal(400, r#"{"errors":["context is missing"]}"#);
        assert!(matches!(&other, OpenBaoError::Refused { said, .. } if said == "context is missing"));
    }

    #[test]
    fn what_is_not_there_is_told_from_a_wrong_route() {
        assert!(answer(404, r#"{"errors":[]}"#).is_nothing());
        assert!(!answer(404, r#"{"errors":["no handler for route"]}"#).is_nothing());
        assert!(!answer(404, "a proxy's own page").is_nothing());
    }

    #[test]
    fn results_count_only_where_there_is_one_for_each_item() {
        let partly =
            answer(400, r#"{"data":{"batch_results":[{"plaintext":"AAAA"},{"error":"no","plaintext":""}]}}"#);
        let results = partly.results(2).unwrap();
        assert_eq!((results[0].plaintext, results[1].error.as_deref()), (Some("AAAA"), Some("no")));
        assert!(partly.results(1).is_none() && partly.results(3).is_none());
        assert!(answer(400, r#"{"errors":["encryption key not found"]}"#).results(1).is_none());
    }
}
