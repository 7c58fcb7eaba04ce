//! The examples, run as their users run them: as programs.

mod http;
mod invoicing;
mod refusals;
mod running;
mod service;
