//! The groups of figures.

pub mod batch;
pub mod concurrent;
pub mod in_memory;
pub mod large;
pub mod load;
pub mod sequential;
