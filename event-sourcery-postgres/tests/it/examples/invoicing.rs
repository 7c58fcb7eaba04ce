//! Invoices are issued, paid and shown.

use std::collections::HashSet;
use std::sync::Arc;

use event_sourcery::uuid::Uuid;
use serde_json::json;

use super::service::Service;

#[tokio::test]
async fn an_invoice_is_issued_paid_and_shown() {
    let service = Service::start().await;

    let issued = service.issue("1003").await.assert_status(201);
    assert_eq!((issued.etag(), issued.header("location")), (Some("\"1\""), Some("/invoices/1003")));
    let paid = service.pay("1003", 2000, 1).await.assert_status(200);
    assert_eq!((paid.etag(), &paid.body["status"]), (Some("\"2\""), &json!("partly paid")));
    let paid = service.pay("1003", 3000, 2).await.assert_status(200);
    assert_eq!(paid.etag(), Some("\"3\""));

    let shown = service.get("/invoices/1003").await.assert_status(200);
    assert_eq!(shown.etag(), Some("\"3\""));
    assert_eq!(shown.body, paid.body);
    assert_eq!(
        shown.body,
        json!({ "number": "1003", "customer": "ACME", "total_cents": 5000, "paid_cents": 5000, "status": "paid" })
    );
}

#[tokio::test]
async fn the_stream_is_shown_with_its_version() {
    let service = Service::with_invoice("1003").await;
    service.pay("1003", 2000, 1).await.assert_status(200);

    let shown = service.get("/invoices/1003/events").await.assert_status(200);

    assert_eq!(shown.etag(), Some("\"2\""));
    let events = shown.body.as_array().unwrap();
    let expected = [
        ("InvoiceIssued", json!({ "customer": "ACME", "total_cents": 5000 })),
        ("PaymentReceived", json!({ "amount_cents": 2000 })),
    ];
    assert_eq!(events.len(), expected.len());
    for (number, (event, (name, payload))) in (1..).zip(events.iter().zip(expected)) {
        assert_eq!(
            (&event["version"], &event["name"], &event["payload"]),
            (&json!(number), &json!(name), &payload)
        );
        let time: event_sourcery::jiff::Timestamp = event["time"].as_str().unwrap().parse().unwrap();
        assert!(time <= event_sourcery::jiff::Timestamp::now(), "{time}");
    }
}

#[tokio::test]
async fn the_version_may_be_given_as_if_match() {
    let service = Service::with_invoice("1003").await;
    let payment = r#"{ "amount_cents": 2000 }"#;

    let shown = service.get("/invoices/1003").await;
    let if_match = [("If-Match", shown.etag().unwrap())];
    let paid = service.post_with("/invoices/1003/payments", &if_match, payment).await.assert_status(200);
    assert_eq!(paid.etag(), Some("\"2\""));

    service.post_with("/invoices/1003/payments", &if_match, payment).await.assert_status(409);
}

#[tokio::test]
async fn a_payment_that_is_sent_again_with_its_id_is_received_once() {
    let service = Service::with_invoice("1003").await;
    let id = Uuid::now_v7();
    let payment = |cents| json!({ "amount_cents": cents, "expected_version": 1, "id": id });

    let first = service.post("/invoices/1003/payments", &payment(2000)).await.assert_status(200);
    let kept = service.kept();
    let again = service.post("/invoices/1003/payments", &payment(2000)).await.assert_status(200);
    assert_eq!((again.etag(), &again.body), (first.etag(), &first.body));
    assert_eq!(service.kept(), kept);

    let another = service.post("/invoices/1003/payments", &payment(2001)).await.assert_status(422);
    assert_eq!(another.body, json!({ "error": "id: another payment has it" }));
    assert_eq!(service.kept(), kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_payments_for_one_version_exactly_one_is_received() {
    let service = Arc::new(Service::with_invoice("1003").await);

    let payments: Vec<_> = (1..=20)
        .map(|cents| {
            let service = Arc::clone(&service);
            tokio::spawn(async move { (cents, service.pay("1003", cents, 1).await) })
        })
        .collect();
    let mut received = Vec::new();
    for payment in payments {
        let (cents, answer) = payment.await.unwrap();
        match answer.status {
            200 => received.push(cents),
            _ => {
                let conflict = answer.assert_status(409);
                assert_eq!(
                    (&conflict.body["expected_version"], &conflict.body["actual_version"]),
                    (&json!(1), &json!(2))
                );
            }
        }
    }

    let [cents] = received[..] else { panic!("received: {received:?}") };
    assert_eq!(
        service.kept(),
        format!(
            "1003|ACME|5000|{cents}|partly paid\n\
             1003|1|InvoiceIssued|{{\"customer\": \"ACME\", \"total_cents\": 5000}}\n\
             1003|2|PaymentReceived|{{\"amount_cents\": {cents}}}"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_issuers_of_one_number_exactly_one_wins() {
    let service = Arc::new(Service::start().await);

    let issuers: Vec<_> = (0..20)
        .map(|_| {
            let service = Arc::clone(&service);
            tokio::spawn(async move { service.issue("1003").await.status })
        })
        .collect();
    let mut answers = Vec::new();
    for issuer in issuers {
        answers.push(issuer.await.unwrap());
    }

    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
    assert_eq!(answers.into_iter().collect::<HashSet<_>>(), HashSet::from([201, 409]));
    assert_eq!(service.kept().lines().count(), 2);
}
