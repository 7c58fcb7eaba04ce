//! A browser for [Event Sourcery](event_sourcery): an [`axum::Router`] that a service mounts under any path, behind its own
//! authentication.
//!
//! ```
//! use axum::Router;
//! use event_sourcery::{EventStore, MemoryBackend, TenantId};
//! use event_sourcery_browser::{Access, Browser};
//!
//! /// What the service's authentication has left in the request.
//! #[derive(Clone)]
//! struct User { is_operator: bool, tenant: TenantId }
//!
//! let store = EventStore::new(MemoryBackend::new());
//! let browser = Browser::new(store.erased()).allow(|request| match request.extensions.get::<User>() {
//!     Some(user) if user.is_operator => Access::look().and_act(),
//!     Some(user) => Access::look_at(user.tenant.clone()),
//!     None => Access::refused(),
//! });
//! let service: Router = Router::new().nest("/admin/events", browser.router());
//! ```
//!
//! Everything is rendered on the server, and works without JavaScript. With it, what changes is brought up to date every few
//! seconds, by a script of this crate. Nothing comes from elsewhere, and the content security policy says so.
//!
//! # Who may look
//!
//! [`Browser::allow`] takes a hook that decides for each request. Without one, only this machine is answered: the peer has to be known
//! (serve with [`into_make_service_with_connect_info::<SocketAddr>`](axum::Router::into_make_service_with_connect_info)) and a
//! loopback address, the request has to be made to a loopback host, and must not have come through a proxy that can be told
//! ([`Access::of_this_machine`]). Nobody may act then.
//!
//! Who may look sees payloads and contexts as they are stored; encrypted fields are masked, also where the store has the keys. Through
//! [`Access::look_at`] one tenant is seen, and no other.
//!
//! # Acting
//!
//! Where the hook lets act, failed events are replayed and skipped. Each form carries a token that is good for its action alone, and
//! for as long as the router lives; and the request has to come from a page of the same origin, which a web browser tells: by
//! `Sec-Fetch-Site` over HTTPS or on the loopback, or by `Origin`. Anything else is refused.
//!
//! # What it costs
//!
//! A page asks a bounded number of bounded questions: see the guide page [*look inside*](event_sourcery::guide::look_inside). Rates and
//! lags are drawn from samples that are taken when pages are asked for, at most one a second; a router keeps 240 of each, for 64
//! subscriptions at most.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod access;
mod ask;
mod assets;
mod browser;
mod dispatch;
mod failure;
mod fields;
mod forgery;
mod layout;
mod pages;
mod plot;
mod samples;
mod show;
mod table;
mod tree;

pub use access::Access;
pub use browser::Browser;
