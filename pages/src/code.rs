//! The code of README and of the guide, put together by `build.rs` as its reader would, and run.

include!(concat!(env!("OUT_DIR"), "/pages.rs"));
