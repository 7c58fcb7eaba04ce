//! The three handlers.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use event_sourcery::uuid::Uuid;
use event_sourcery::{Event as _, Version};
use serde::Deserialize;

use crate::Store;
use crate::again::again;
use crate::error::ApiError;
use crate::invoice::{Invoice, InvoiceEvent, InvoiceIssued, PaymentReceived, stream_of};

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
    /// The version of the invoice that the client has seen.
    expected_version: Version,
    /// The client's id of the payment. One that is sent again with the same id is received once.
    id: Option<Uuid>,
}

pub(crate) async fn issue(
    State(store): State<Store>,
    input: Input<NewInvoice>,
) -> Result<(StatusCode, Json<Invoice>), ApiError> {
    let Json(NewInvoice { number, customer, total_cents }) = input?;
    check_cents("total_cents", total_cents)?;
    // With its id from here on: so that it is there once, however often it is appended.
    let event = InvoiceEvent::Issued(InvoiceIssued { customer, total_cents }).with_id(Uuid::now_v7());
    let stream = stream_of(&number)?;
    again(|| store.append(&stream, event.clone()).into_future()).await?;
    Ok((StatusCode::CREATED, Json(load(&store, number).await?)))
}

pub(crate) async fn pay(
    State(store): State<Store>,
    Path(number): Path<String>,
    input: Input<Payment>,
) -> Result<Json<Invoice>, ApiError> {
    let Json(Payment { amount_cents, expected_version, id }) = input?;
    check_cents("amount_cents", amount_cents)?;
    let invoice = load(&store, number.clone()).await?;
    let open = invoice.open_cents();
    // Of another version it says nothing: either the append is refused, or it is a repeat.
    if invoice.version == expected_version && amount_cents > open {
        return Err(ApiError::Invalid(format!("amount_cents: {amount_cents} is more than the {open} open")));
    }
    let event = InvoiceEvent::Paid(PaymentReceived { amount_cents }).with_id(id.unwrap_or_else(Uuid::now_v7));
    let stream = stream_of(&number)?;
    again(|| store.append(&stream, event.clone()).expected_version(expected_version).into_future()).await?;
    Ok(Json(load(&store, number).await?))
}

pub(crate) async fn show(
    State(store): State<Store>,
    Path(number): Path<String>,
) -> Result<Json<Invoice>, ApiError> {
    Ok(Json(load(&store, number).await?))
}

async fn load(store: &Store, number: String) -> Result<Invoice, ApiError> {
    let stream = stream_of(&number)?;
    let events = again(|| store.load_stream::<InvoiceEvent>(&stream).into_future()).await?;
    Invoice::of(number, &events).ok_or(ApiError::NotFound)
}

fn check_cents(field: &str, cents: i64) -> Result<(), ApiError> {
    if cents > 0 { Ok(()) } else { Err(ApiError::Invalid(format!("{field}: has to be more than 0"))) }
}
