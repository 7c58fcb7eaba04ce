//! What all pages have around them.

use maud::{DOCTYPE, Markup, html};

use crate::ask::Place;
use crate::failure::Failure;

/// The pages that lead to all others.
const PAGES: [(&str, &str); 7] = [
    ("store", "Store"),
    ("streams", "Streams"),
    ("search", "Search"),
    ("subscriptions", "Subscriptions"),
    ("waiting", "Waiting"),
    ("outbox", "Outbox"),
    ("holders", "Holders"),
];

/// A page without what is around it.
pub(crate) struct Sheet {
    title: String,
    body: Markup,
}

impl Sheet {
    pub(crate) fn new(title: impl Into<String>, body: Markup) -> Self {
        Self { title: title.into(), body }
    }

    pub(crate) fn render(&self, place: &Place, with_pages: bool) -> Markup {
        let Self { title, body } = self;
        let base = &place.base;
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " \u{b7} Event Sourcery" }
                    link rel="icon" type="image/svg+xml" href={ (base) "icon.svg" };
                    link rel="stylesheet" href={ (base) "style.css" };
                    script src={ (base) "live.js" } defer {}
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header.top {
                        p.brand { "Event Sourcery" }
                        @if with_pages { (pages(place)) }
                    }
                    main id="content" tabindex="-1" {
                        h1 { (title) }
                        (body)
                    }
                }
            }
        }
    }
}

fn pages(place: &Place) -> Markup {
    html! {
        nav aria-label="Pages" {
            ul {
                @for (page, label) in PAGES {
                    li {
                        a href={ (place.base) (page) } aria-current=[(place.page == page).then_some("page")] { (label) }
                    }
                }
            }
        }
    }
}

/// The page that says why there is none.
pub(crate) fn failed(failure: &Failure) -> Sheet {
    let status = failure.status();
    let reason = status.canonical_reason().unwrap_or("Failed");
    Sheet::new(reason, html! { p.problem { (failure.to_string()) } })
}
