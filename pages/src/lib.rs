//! The README, and the pages of the guide whose code needs databases: compiled and run.
//!
//! They stand here, because no backend depends on another one.

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../../event-sourcery/guide/integrate-with-your-application.md")]
    struct IntegrateWithYourApplication;

    #[doc = include_str!("../../event-sourcery/guide/read-models.md")]
    struct ReadModels;
}
