//! What is refused leaves neither row nor event.

use serde_json::{Value, json};

use super::service::Service;

/// The problem that an answer tells.
fn problem(body: &Value) -> &str {
    body["error"].as_str().unwrap_or_else(|| panic!("{body}"))
}

#[tokio::test]
async fn a_payment_for_an_old_version_is_a_conflict() {
    let service = Service::with_invoice("1003").await;
    service.pay("1003", 2000, 1).await.assert_status(200);
    let kept = service.kept();

    for (expected, cents) in [(1, 2000), (0, 2000), (3, 2000), (1, 9000)] {
        let refused = service.pay("1003", cents, expected).await.assert_status(409);
        assert_eq!(
            refused.body,
            json!({
                "error": "somebody else has changed the invoice: look at it again",
                "expected_version": expected,
                "actual_version": 2,
            })
        );
        assert_eq!(service.kept(), kept);
    }
}

#[tokio::test]
async fn a_number_is_issued_once() {
    let service = Service::with_invoice("1003").await;
    let kept = service.kept();

    let refused = service.issue("1003").await.assert_status(409);

    assert_eq!((&refused.body["expected_version"], &refused.body["actual_version"]), (&json!(0), &json!(1)));
    assert_eq!(service.kept(), kept);
}

#[tokio::test]
async fn a_payment_whose_row_is_refused_leaves_no_event() {
    let service = Service::with_invoice("1003").await;
    let kept = service.kept();

    let refused = service.pay("1003", 5001, 1).await.assert_status(422);
    assert_eq!(problem(&refused.body), "amount_cents: 5001 is more than the 5000 open");
    assert_eq!(service.kept(), kept);

    service.database.psql("ALTER TABLE invoices ADD CHECK (paid_cents = 0)");
    let failed = service.pay("1003", 2000, 1).await.assert_status(500);
    assert_eq!(failed.body, json!({ "error": "internal error" }));
    assert_eq!(service.kept(), kept);

    service.database.psql("ALTER TABLE invoices ADD CHECK (number <> '1004')");
    service.issue("1004").await.assert_status(500);
    assert_eq!(service.kept(), kept);
}

#[tokio::test]
async fn an_invoice_whose_event_is_refused_leaves_no_row() {
    let service = Service::start().await;
    let nul = json!({ "number": "1003", "customer": "AC\u{0}ME", "total_cents": 5000 });

    let refused = service.post("/invoices", &nul).await.assert_status(422);

    assert!(problem(&refused.body).contains("InvoiceIssued"), "{}", refused.body);
    assert_eq!(service.kept(), "");
}

#[tokio::test]
async fn an_invoice_that_is_not_there_is_not_found() {
    let service = Service::with_invoice("1003").await;
    let kept = service.kept();

    service.get("/invoices/1004").await.assert_status(404);
    service.get("/invoices/1004/events").await.assert_status(404);
    for expected in [0, 1] {
        service.pay("1004", 2000, expected).await.assert_status(404);
    }
    service.get("/customers").await.assert_status(404);

    assert_eq!(service.kept(), kept);
}

#[tokio::test]
async fn an_invoice_with_invalid_input_is_refused() {
    let service = Service::start().await;
    let invoice =
        |number: &str, total: Value| json!({ "number": number, "customer": "ACME", "total_cents": total });
    for (invalid, expected) in [
        (invoice("", json!(1)), "number: "),
        (invoice("10/03", json!(1)), "number: "),
        (invoice(&"1".repeat(41), json!(1)), "number: "),
        (invoice("1003", json!(0)), "total_cents: "),
        (invoice("1003", json!(-1)), "total_cents: "),
        (invoice("1003", json!(1.5)), "total_cents: "),
        (invoice("1003", json!("1")), "total_cents: "),
        (json!({ "number": "1003", "total_cents": 1 }), "missing field `customer`"),
    ] {
        let refused = service.post("/invoices", &invalid).await.assert_status(422);
        assert!(problem(&refused.body).contains(expected), "{invalid}: {}", refused.body);
    }
    let refused = service.post_with("/invoices", &[], "{").await.assert_status(400);
    assert!(problem(&refused.body).contains("JSON"), "{}", refused.body);

    assert_eq!(service.kept(), "");
}

#[tokio::test]
async fn a_payment_with_invalid_input_is_refused() {
    let service = Service::with_invoice("1003").await;
    let kept = service.kept();
    for (if_match, payment, expected) in [
        (None, json!({ "amount_cents": 0, "expected_version": 1 }), "amount_cents: "),
        (None, json!({ "amount_cents": -1, "expected_version": 1 }), "amount_cents: "),
        (None, json!({ "amount_cents": 1, "expected_version": -1 }), "expected_version: "),
        (None, json!({ "amount_cents": 1, "expected_version": 1, "id": "1" }), "id: "),
        (None, json!({ "amount_cents": 1 }), "give the version"),
        (Some("\"2\""), json!({ "amount_cents": 1, "expected_version": 1 }), "differ"),
        (Some("1"), json!({ "amount_cents": 1 }), "If-Match: "),
        (Some("*"), json!({ "amount_cents": 1 }), "If-Match: "),
        (Some("W/\"1\""), json!({ "amount_cents": 1 }), "If-Match: "),
    ] {
        let headers: Vec<_> = if_match.map(|value| ("If-Match", value)).into_iter().collect();
        let refused = service.post_with("/invoices/1003/payments", &headers, &payment.to_string()).await;
        let refused = refused.assert_status(422);
        assert!(problem(&refused.body).contains(expected), "{payment}: {}", refused.body);
    }
    assert_eq!(service.kept(), kept);
}
