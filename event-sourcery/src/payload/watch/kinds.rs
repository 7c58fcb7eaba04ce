//! Of which kind a number and a type are, as far as reading depends on it.

use crate::payload::seen::facts;

/// From here on a float is written with an exponent, which JSONB writes out, and then it looks like an integer.
pub(super) const EXPONENT: f64 = 1e16;

/// The same for a float of 32 bits, of which 1e13 is a little less.
pub(super) const EXPONENT_OF_32_BITS: f64 = 9.9e12;

/// What a float would be as an integer decides which type takes it.
#[cold]
pub(super) fn long_float(value: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    facts::LONG_FLOAT
        + match value {
            value if value < -HALF => 0,
            value if value < 0.0 => 1,
            value if value < HALF => 2,
            value if value < 2.0 * HALF => 3,
            _ => 4,
        }
}

/// How large an integer is decides which of several types takes it.
#[inline]
pub(super) fn integer(value: i128) -> u64 {
    const SIGNED: i128 = i64::MAX as i128;
    facts::INTEGER
        + match value {
            0..=0x7fff_ffff => 0,
            0x8000_0000..=0xffff_ffff => 1,
            0x1_0000_0000..=SIGNED => 2,
            -0x8000_0000..0 => 3,
            -0x8000_0000_0000_0000..-0x8000_0000 => 4,
            0.. if value <= u64::MAX.into() => 5,
            _ => 6,
        }
}

/// What stands around the name of a type that is written as the one within.
const WRAPPERS: [&str; 5] = ["&", "mut ", "alloc::boxed::Box<", "alloc::sync::Arc<", "alloc::rc::Rc<"];

/// The name of a type without what stands around it.
fn unwrapped(mut name: &'static str) -> &'static str {
    while let Some(inner) = WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper)) {
        name = inner;
    }
    name
}

/// Whether this is a JSON value, which is equal to another one whatever the order of their keys. It may keep that order all the
/// same.
pub(super) fn is_json(name: &'static str) -> bool {
    unwrapped(name).starts_with("serde_json::")
}

/// Whether this is a map whose keys are nothing but keys, and have no order of their own, or always the same.
pub(super) fn is_plain_map(name: &'static str) -> bool {
    const MAPS: [&str; 3] = [
        "std::collections::hash::map::HashMap<",
        "alloc::collections::btree::map::BTreeMap<",
        "serde_json::",
    ];
    let name = unwrapped(name);
    MAPS.iter().any(|map| name.starts_with(map))
}
