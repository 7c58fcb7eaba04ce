//! Replaying and skipping, and who may not.

use axum::http::StatusCode;
use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
use event_sourcery_browser::{Access, Browser};

use crate::scene::{Form, ORDERS, Visitor, fail, operated};

/// A store in which a handler has failed on an event of each stream.
async fn failed() -> EventStore {
    let store = EventStore::new(MemoryBackend::new()).erased();
    for number in 0..ORDERS {
        let stream = StreamId::from_name(format!("orders/{number}")).unwrap();
        store.append(&stream, RawEvent::new("Placed", "{}").unwrap()).await.unwrap();
    }
    fail(&store, "letters", ORDERS).await;
    store
}

async fn parked(store: &EventStore) -> usize {
    store.subscribe::<RawEvent>().durable("letters").parked().await.unwrap().len()
}

const PAGE: &str = "/subscription?name=letters";

#[tokio::test]
async fn a_failed_event_is_replayed_and_another_is_skipped() {
    let store = failed().await;
    let visitor = operated(&store);
    for (verb, told) in [("replay", "is tried again"), ("skip", "was left out")] {
        let before = parked(&store).await;
        // Another stream each time: the first one is not parked any more.
        let forms = Form::all(&visitor.page(PAGE).await).into_iter();
        let mut forms = forms.filter(|form| form.get("verb") == verb);
        let form = if verb == "skip" { forms.next_back() } else { forms.next() }.unwrap();
        let answer = visitor.submit(&form).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        assert_eq!(parked(&store).await, before - 1, "{verb}");
        let there = answer.headers["location"].to_str().unwrap().strip_prefix('.').unwrap().to_owned();
        assert!(visitor.page(&there).await.contains(told), "{there}");
        // The page was shown before: what it says is not so any more.
        if verb == "skip" {
            assert_eq!(visitor.submit(&form).await.status, StatusCode::CONFLICT);
        }
    }
}

#[tokio::test]
async fn all_that_is_parked_is_replayed_or_skipped() {
    for verb in ["replay-all", "skip-all"] {
        let store = failed().await;
        let visitor = operated(&store);
        let answer = visitor.submit(&Form::to(verb, &visitor.page(PAGE).await)).await;
        assert_eq!((answer.status, parked(&store).await), (StatusCode::SEE_OTHER, 0), "{verb}");
        assert!(answer.headers["location"].to_str().unwrap().ends_with(&format!("count={ORDERS}")));
    }
}

#[tokio::test]
async fn what_was_done_is_told_once_and_each_button_says_for_what_it_is() {
    let visitor = operated(&failed().await);
    let page = visitor.page(&format!("{PAGE}&done=replay")).await;
    assert!(page.contains("is tried again") && page.contains("rel=\"next\""), "{page}");
    assert!(!page.contains("done=replay"), "no link tells it again: {page}");
    for position in [1, 8] {
        let told = format!("<span class=\"unseen\"> the event {position} of ");
        assert_eq!(page.matches(&told).count(), 3, "one for each button, and for what unfolds: {told}");
    }
}

#[tokio::test]
async fn forged_requests_are_refused() {
    let store = failed().await;
    let visitor = operated(&store);
    let form = Form::to("replay", &visitor.page(PAGE).await);
    let before = parked(&store).await;
    for forged in [
        form.clone().with("token", ""),
        form.clone().with("verb", "skip"),
        form.clone().with("verb", "replay-all"),
        form.clone().with("position", "1000"),
        form.clone().with("name", "others"),
    ] {
        assert_eq!(visitor.submit(&forged).await.status, StatusCode::FORBIDDEN);
    }
    let of_another = Form::to("replay", &operated(&store).page(PAGE).await);
    assert_eq!(
        visitor.submit(&of_another).await.status,
        StatusCode::FORBIDDEN,
        "each router has its own tokens"
    );
    for headers in [
        vec![],
        vec![("sec-fetch-site", "cross-site")],
        vec![("host", "store.example"), ("origin", "https://evil.example")],
        vec![("host", "store.example"), ("origin", "null")],
    ] {
        let request =
            headers.iter().fold(form.request(), |request, (name, value)| request.header(*name, *value));
        let answer = visitor.send(request.body(form.body()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    assert_eq!(parked(&store).await, before);
    let by_origin = form.request().header("host", "store.example").header("origin", "http://store.example");
    let answer = visitor.send(by_origin.body(form.body()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "over plain HTTP, the origin tells");
}

#[tokio::test]
async fn who_may_look_alone_finds_no_form_and_changes_nothing() {
    let store = failed().await;
    let router = Browser::new(store.clone())
        .allow(|request| {
            if request.headers.contains_key("may-act") { Access::look().and_act() } else { Access::look() }
        })
        .router();
    let visitor = Visitor::of(router);
    assert!(
        Form::all(&visitor.page(PAGE).await).is_empty()
            && Form::all(&visitor.page("/waiting").await).is_empty()
    );

    let request =
        axum::http::Request::get(PAGE).header("may-act", "yes").body(axum::body::Body::empty()).unwrap();
    let form = Form::to("replay", &visitor.send(request).await.body);
    assert_eq!(visitor.submit(&form).await.status, StatusCode::FORBIDDEN);
    assert_eq!(parked(&store).await, ORDERS);
}

#[tokio::test]
async fn a_form_larger_than_any_is_refused() {
    let visitor = operated(&failed().await);
    let large = Form(vec![("token".to_owned(), "a".repeat(20_000))]);
    assert_eq!(visitor.submit(&large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}
