//! The examples, run as their users run them: as programs.

mod hang_ups;
mod http;
mod invoicing;
mod refusals;
mod running;
mod service;
