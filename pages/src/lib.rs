//! README and the guide, tested as their readers see them: the code compiles and runs, links lead somewhere, and what is named is
//! there.
//!
//! How the code of a page is put together stands in `event-sourcery/src/guide.rs`, for the reader, and in `build.rs`.

#[cfg(test)]
#[allow(
    warnings,
    missing_docs,
    rust_2018_idioms,
    unreachable_pub,
    reason = "the code of pages is code of users"
)]
#[allow(clippy::all, clippy::restriction, reason = "the code of pages is code of users")]
mod code;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod links;
#[cfg(test)]
mod named_tests;
#[cfg(test)]
mod names;
#[cfg(test)]
mod packages;
#[cfg(test)]
mod running;
