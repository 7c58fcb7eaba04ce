//! The README, and the page of the guide whose code needs every backend: compiled and run.
//!
//! They stand here, because no backend depends on another one.

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../../event-sourcery/guide/integrate-with-your-application.md")]
    struct IntegrateWithYourApplication;
}
