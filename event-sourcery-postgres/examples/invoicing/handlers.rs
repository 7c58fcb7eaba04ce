//! The four handlers.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, LOCATION};
use axum::response::{IntoResponse, Response};
use event_sourcery::jiff::Timestamp;
use event_sourcery::uuid::Uuid;
use event_sourcery::{Event as _, RawEvent, Version, WrappedEvent};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::App;
use crate::error::ApiError;
use crate::events::{InvoiceIssued, PaymentReceived, stream_of};
use crate::invoice::Invoice;
use crate::version::{etag, expected_version};

/// What arrives as JSON, or why it could not be read.
type Input<T> = Result<Json<T>, JsonRejection>;

#[derive(Deserialize)]
pub(crate) struct NewInvoice {
    number: String,
    customer: String,
    total_cents: i64,
}

#[derive(Deserialize)]
pub(crate) struct Payment {
    amount_cents: i64,
    /// The version of the invoice that the client has seen; `If-Match` says the same.
    expected_version: Option<Version>,
    /// The client's id of the payment. One that is sent again with the same id is received once.
    id: Option<Uuid>,
}

pub(crate) async fn issue(State(app): State<App>, input: Input<NewInvoice>) -> Result<Response, ApiError> {
    let Json(NewInvoice { number, customer, total_cents }) = input?;
    check_number(&number)?;
    check_cents("total_cents", total_cents)?;
    let stream = stream_of(&number)?;
    let event = InvoiceIssued { customer: customer.clone(), total_cents };
    let invoice = Invoice::issued(number, customer, total_cents);

    let mut tx = app.store.backend().begin().await?;
    let appended = app.store.within(&mut tx).append(&stream, event).await?;
    invoice.insert(&mut tx).await?;
    tx.commit().await?;

    let location = [(LOCATION, format!("/invoices/{}", invoice.number))];
    Ok((StatusCode::CREATED, location, etag(appended.last_version), Json(invoice)).into_response())
}

pub(crate) async fn pay(
    State(app): State<App>,
    Path(number): Path<String>,
    headers: HeaderMap,
    input: Input<Payment>,
) -> Result<Response, ApiError> {
    let Json(Payment { amount_cents, expected_version: in_body, id }) = input?;
    let expected = expected_version(&headers, in_body)?;
    check_cents("amount_cents", amount_cents)?;
    let stream = stream_of(&number)?;
    let event = PaymentReceived { amount_cents }.with_id(id.unwrap_or_else(Uuid::now_v7));

    // Whatever fails from here on drops the transaction: neither row nor event is kept.
    let mut tx = app.store.backend().begin().await?;
    let mut invoice = Invoice::lock(&mut tx, &number).await?;
    let appended = app.store.within(&mut tx).append(&stream, event).expected_version(expected).await?;
    if !appended.repeated {
        invoice = invoice.paid(amount_cents)?;
        invoice.update(&mut tx).await?;
    }
    tx.commit().await?;

    Ok((etag(appended.last_version), Json(invoice)).into_response())
}

pub(crate) async fn show(State(app): State<App>, Path(number): Path<String>) -> Result<Response, ApiError> {
    // The version first: if the row is newer, a payment meets a conflict. The other way round, it would not.
    let version = app.store.version(&stream_of(&number)?).await?;
    let invoice = Invoice::find(&app.pool, &number).await?;
    Ok((etag(version), Json(invoice)).into_response())
}

pub(crate) async fn events(State(app): State<App>, Path(number): Path<String>) -> Result<Response, ApiError> {
    let events = app.store.load_stream::<RawEvent>(&stream_of(&number)?).await?;
    let last = events.last().ok_or(ApiError::NotFound)?;
    let shown: Vec<_> = events.iter().map(ShownEvent::from).collect();
    Ok((etag(last.version), Json(shown)).into_response())
}

#[derive(Serialize)]
struct ShownEvent<'e> {
    version: Option<Version>,
    name: &'e str,
    time: Timestamp,
    payload: &'e RawValue,
}

impl<'e> From<&'e WrappedEvent<RawEvent>> for ShownEvent<'e> {
    fn from(wrapped: &'e WrappedEvent<RawEvent>) -> Self {
        let WrappedEvent { event, version, created_at, .. } = wrapped;
        Self { version: *version, name: event.name(), time: *created_at, payload: event.data() }
    }
}

fn check_number(number: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if (1..=40).contains(&number.len()) && number.chars().all(allowed) {
        return Ok(());
    }
    Err(ApiError::Invalid("number: 1 to 40 letters, digits and hyphens".to_owned()))
}

fn check_cents(field: &str, cents: i64) -> Result<(), ApiError> {
    if cents > 0 { Ok(()) } else { Err(ApiError::Invalid(format!("{field}: has to be more than 0"))) }
}
