//! Tables that Rust made.

use event_sourcery::StreamId;
use serde_json::json;

use crate::invoicing::{numbered, paid, payments};
use crate::run::Database;
use crate::{Expected, event, payments_in_python};

pub(super) async fn python_works_on_a_store_that_rust_made(database: Database) {
    let rust = database.rust().await;
    let mut python = database.python();
    let (first, second) = (StreamId::from_name("first").unwrap(), StreamId::from_name("second").unwrap());
    rust.append(&first, paid("1")).await.unwrap();

    python.create_all();
    python.append(&first, Expected::Version(1), &[event(&paid("2"))]).unwrap();
    python.create(&second, &[event(&paid("1"))]);
    python.delete(&second);

    assert_eq!(payments_in_python(&python.load(&first)), numbered(1..=2));
    assert_eq!(payments(&rust.load_stream(&first).await.unwrap()), numbered(1..=2));
    assert!(python.load(&second).is_empty());
    python.snapshot(&first, 2, &json!({"type": "Summary", "fields": {"payments": 2}}));
    assert_eq!(python.load(&first)[0].class, "Summary");
}
