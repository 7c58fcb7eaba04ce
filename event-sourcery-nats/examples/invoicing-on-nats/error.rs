//! What goes wrong, and the answer to it: all of it here.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use event_sourcery::Error;
use serde_json::{Value, json};

#[derive(Debug)]
pub(crate) enum ApiError {
    /// There is no such invoice.
    NotFound,
    /// The input breaks a rule, which this says.
    Invalid(String),
    /// The body is not the JSON that was asked for.
    Body(JsonRejection),
    Store(Error),
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::Body(rejection)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound => answer(StatusCode::NOT_FOUND, "there is no such invoice"),
            Self::Invalid(problem) => answer(StatusCode::UNPROCESSABLE_ENTITY, &problem),
            Self::Body(rejection) => answer(rejection.status(), &rejection.body_text()),
            Self::Store(error) => store_failed(&error),
        }
    }
}

fn store_failed(error: &Error) -> Response {
    match error {
        Error::Conflict { .. } => {
            answer(StatusCode::CONFLICT, "somebody else has changed the invoice: look at it again")
        }
        Error::DuplicateEvent { .. } => {
            answer(StatusCode::UNPROCESSABLE_ENTITY, "id: another payment has it")
        }
        Error::InvalidName { .. } | Error::InvalidPayload { .. } => {
            answer(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string())
        }
        Error::OutcomeUnknown { .. } => {
            eprintln!("invoicing: {}", error.in_full());
            answer(StatusCode::GATEWAY_TIMEOUT, "it may have been done: send it again with the same id")
        }
        error if error.is_retryable() => {
            eprintln!("invoicing: {}", error.in_full());
            answer(StatusCode::SERVICE_UNAVAILABLE, "the servers are away: try again")
        }
        error => {
            // The client learns that it is not to blame, and the log what it was.
            eprintln!("invoicing: {}", error.in_full());
            answer(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
        }
    }
}

fn answer(status: StatusCode, problem: &str) -> Response {
    (status, Json::<Value>(json!({ "error": problem }))).into_response()
}
