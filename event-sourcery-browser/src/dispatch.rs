//! From a request to an answer.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::ask::{Ask, Place};
use crate::assets::asset;
use crate::browser::Shared;
use crate::failure::Failure;
use crate::fields::Fields;
use crate::forgery::is_of_this_origin;
use crate::layout::{Sheet, failed};
use crate::pages;

/// How many bytes a form may have: those of this router have far fewer.
const MOST: usize = 16 * 1_024;

/// What every answer says: nothing is kept, nothing is guessed, nothing comes from elsewhere, and nobody frames it.
const GUARDS: [(&str, &str); 8] = [
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    // Not `no-referrer`: by that, web browsers send `Origin: null` with a form, and one that sends no `Sec-Fetch-Site`, as over plain
    // HTTP, could never act.
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-robots-tag", "noindex, nofollow"),
];

pub(crate) async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let place = Place::of(&parts);
    let mut response = match respond(&shared, &parts, &place, body).await {
        Ok(response) => response,
        Err(failure) => fail(&place, &failure),
    };
    guard(response.headers_mut());
    response
}

async fn respond(shared: &Shared, parts: &Parts, place: &Place, body: Body) -> Result<Response, Failure> {
    let granted = (shared.hook)(parts).granted().filter(|granted| granted.is_within(&shared.store));
    let granted = granted.ok_or(Failure::Refused)?;
    if place.page == "act" {
        if parts.method != Method::POST {
            return Err(Failure::OtherMethod("POST"));
        }
        if !granted.may_act {
            return Err(Failure::ReadOnly);
        }
        if !is_of_this_origin(&parts.headers, &parts.uri) {
            return Err(Failure::Forged);
        }
        let form = to_bytes(body, MOST).await.map_err(|_| Failure::TooLarge)?;
        let there = pages::act(&Ask::new(shared, granted, place, Fields::parse(&form)?)).await?;
        return Ok((StatusCode::SEE_OTHER, [(header::LOCATION, there)]).into_response());
    }
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return Err(Failure::OtherMethod("GET"));
    }
    if let Some((media_type, content)) = asset(&place.page) {
        return Ok(([(header::CONTENT_TYPE, media_type)], content).into_response());
    }
    let fields = Fields::parse(parts.uri.query().unwrap_or_default().as_bytes())?;
    let sheet = pages::page(&Ask::new(shared, granted, place, fields), &place.page).await?;
    Ok(shown(StatusCode::OK, &sheet, place, true))
}

fn fail(place: &Place, failure: &Failure) -> Response {
    let status = failure.status();
    if let Failure::Store(error) = failure
        && status.is_server_error()
    {
        tracing::error!(
            page = place.page,
            error = error.in_full(),
            "a page of the event store could not be shown"
        );
    }
    let mut response = shown(status, &failed(failure), place, !matches!(failure, Failure::Refused));
    if let &Failure::OtherMethod(method) = failure {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(method));
    }
    response
}

fn shown(status: StatusCode, sheet: &Sheet, place: &Place, with_pages: bool) -> Response {
    let html = sheet.render(place, with_pages).into_string();
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}

fn guard(headers: &mut HeaderMap) {
    for (name, value) in GUARDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
