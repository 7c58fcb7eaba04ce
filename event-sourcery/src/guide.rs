//! The guide: a page for each task. Every piece of code in it is compiled and run.

#[doc = include_str!("../guide/defining-events.md")]
pub mod defining_events {}

// Its code needs the feature `testing`.
#[cfg_attr(any(not(doctest), feature = "testing"), doc = include_str!("../guide/evolving-events.md"))]
pub mod evolving_events {}

#[doc = include_str!("../guide/save-and-read-events.md")]
pub mod save_and_read_events {}

#[doc = include_str!("../guide/event-sourcing.md")]
pub mod event_sourcing {}

#[doc = include_str!("../guide/snapshots.md")]
pub mod snapshots {}

// Its code needs the feature `testing`.
#[cfg_attr(any(feature = "testing", not(doctest)), doc = include_str!("../guide/testing.md"))]
#[cfg_attr(all(doctest, not(feature = "testing")), doc = "See the feature `testing`.")]
pub mod testing {}

#[doc = include_str!("../guide/multitenancy.md")]
pub mod multitenancy {}

// Its code needs databases: the crate `pages` of the workspace compiles and runs it.
#[cfg_attr(not(doctest), doc = include_str!("../guide/integrate-with-your-application.md"))]
#[cfg_attr(doctest, doc = "See `pages`.")]
pub mod integrate_with_your_application {}

#[doc = include_str!("../guide/coming-from-python.md")]
pub mod coming_from_python {}

#[doc = include_str!("../guide/react-to-events.md")]
pub mod react_to_events {}

// Its code needs databases: the crate `pages` of the workspace compiles and runs it.
#[cfg_attr(not(doctest), doc = include_str!("../guide/read-models.md"))]
#[cfg_attr(doctest, doc = "See `pages`.")]
pub mod read_models {}

// Its code needs databases: the crate `pages` of the workspace compiles and runs it.
#[cfg_attr(not(doctest), doc = include_str!("../guide/operate.md"))]
#[cfg_attr(doctest, doc = "See `pages`.")]
pub mod operate {}
