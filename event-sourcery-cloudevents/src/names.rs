//! Names in the places of a protocol where some characters mean something.

use std::fmt::Write as _;

/// A name as one token of a NATS subject, or one word of a RabbitMQ routing key: letters, digits, `-` and `_` as they are, the rest
/// percent-encoded. So no name has a dot, a star or a space there, and two names never become one.
///
/// ```
/// assert_eq!(event_sourcery_cloudevents::token("orders.eu > all"), "orders%2Eeu%20%3E%20all");
/// ```
#[must_use]
pub fn token(name: &str) -> String {
    percent_encoded(name, |byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The bytes of UTF-8 that are not plain as `%` and two digits.
pub(crate) fn percent_encoded(text: &str, is_plain: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            // Plain bytes are ASCII.
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
