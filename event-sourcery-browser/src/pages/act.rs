//! Replaying and skipping failed events: the forms, and what they do.

use event_sourcery::look::{Mark, SubscriptionId};
use event_sourcery::{BlockedStream, Position, StreamId};
use maud::{Markup, html};

use crate::ask::Ask;
use crate::failure::Failure;

/// How many streams that wait at one position are gone through for the one that is meant.
const TOGETHER: usize = 64;

/// What an action is about, as its form tells it, and its token is made of it.
struct About<'a> {
    verb: &'a str,
    tenant: &'a str,
    name: &'a str,
    position: &'a str,
    stream: &'a str,
    category: &'a str,
    whose: &'a str,
}

impl<'a> About<'a> {
    fn told(ask: &'a Ask<'_>) -> Self {
        let of = |name| ask.fields.get(name).unwrap_or_default();
        Self {
            verb: of("verb"),
            tenant: of("tenant"),
            name: of("name"),
            position: of("position"),
            stream: of("stream"),
            category: of("category"),
            whose: of("whose"),
        }
    }

    fn fields(&self) -> [(&'static str, &'a str); 7] {
        [
            ("verb", self.verb),
            ("tenant", self.tenant),
            ("name", self.name),
            ("position", self.position),
            ("stream", self.stream),
            ("category", self.category),
            ("whose", self.whose),
        ]
    }

    /// What a token is made of: this, and the tenant that is seen, so that it is good for nobody who sees another.
    fn signed(&self, ask: &'a Ask<'_>) -> Vec<&'a str> {
        let values = self.fields().into_iter().map(|(_, value)| value);
        std::iter::once(ask.store.tenant_id().as_str()).chain(values).collect()
    }
}

/// Replays or skips, and tells which page to go to.
pub(crate) async fn act(ask: &Ask<'_>) -> Result<String, Failure> {
    let about = About::told(ask);
    let token = ask.fields.get("token").unwrap_or_default();
    if !ask.shared.secret.has_offered(&about.signed(ask), token) {
        return Err(Failure::Forged);
    }
    let (of, look) = (ask.subscription()?, ask.store.look());
    let count = match about.verb {
        "replay" => {
            look.replay(&of, &find(ask, &of, &about).await?).await?;
            None
        }
        "skip" => {
            look.skip(&of, &find(ask, &of, &about).await?).await?;
            None
        }
        "replay-all" => Some(look.replay_all(&of).await?.streams),
        "skip-all" => Some(look.skip_all(&of).await?.streams),
        _ => return Err(Failure::field("verb", "there is no such action")),
    };
    tracing::info!(subscription = %of, verb = about.verb, position = about.position, "an action of the browser was carried out");
    let count = count.map(|count| count.to_string()).unwrap_or_default();
    Ok(ask.link(
        "subscription",
        &[("name", about.name), ("tenant", about.tenant), ("done", about.verb), ("count", count.as_str())],
    ))
}

/// The stream as the listing shows it now, if it still waits for the event that was shown.
async fn find(ask: &Ask<'_>, of: &SubscriptionId, about: &About<'_>) -> Result<BlockedStream, Failure> {
    let position =
        about.position.parse::<i64>().map_err(|_| Failure::field("position", "it is no number"))?;
    let uuid = about.stream.parse().map_err(|_| Failure::field("stream", "it is no UUID"))?;
    let stream = StreamId::from_uuid(uuid).in_category(about.category)?;
    let from = Some(Mark::at(position.saturating_sub(1)));
    let listed = ask.store.look().blocked(of, from, TOGETHER).await?.items;
    let is_meant = |one: &BlockedStream| {
        one.position == Position::from_i64(position)
            && one.stream == stream
            && one.tenant.as_str() == about.whose
    };
    listed.into_iter().find(is_meant).ok_or(Failure::NotWaiting)
}

/// The forms for a stream that waits.
pub(super) fn of_one(ask: &Ask<'_>, of: &SubscriptionId, one: &BlockedStream) -> Markup {
    let (position, stream) = (one.position.to_i64().to_string(), one.stream.uuid().to_string());
    let about = |verb| About {
        verb,
        tenant: of.tenant.as_str(),
        name: &of.name,
        position: &position,
        stream: &stream,
        category: one.stream.stored_category(),
        whose: one.tenant.as_str(),
    };
    // Who hears the buttons of a table one by one is told what each is for.
    let which = format!(" the event {position} of {}", one.stream);
    html! {
        (form(ask, &about("replay"), "Replay", &which))
        details.sure {
            summary { "Skip" span.unseen { (which) } "\u{2026}" }
            p { "The event is left out for good." }
            (form(ask, &about("skip"), "Skip", &which))
        }
    }
}

/// The forms for everything that is parked.
pub(super) fn of_all(ask: &Ask<'_>, of: &SubscriptionId) -> Markup {
    let about = |verb| About {
        verb,
        tenant: of.tenant.as_str(),
        name: &of.name,
        position: "",
        stream: "",
        category: "",
        whose: "",
    };
    html! {
        div.actions {
            (form(ask, &about("replay-all"), "Replay all that is parked", ""))
            details.sure {
                summary { "Skip all\u{2026}" }
                p { "The failed event of each parked stream is left out for good." }
                (form(ask, &about("skip-all"), "Skip them", ""))
            }
        }
    }
}

fn form<'a>(ask: &'a Ask<'_>, about: &About<'a>, label: &str, which: &str) -> Markup {
    let token = ask.shared.secret.token(&about.signed(ask));
    html! {
        form method="post" action=(ask.link("act", &[])) {
            @for (name, value) in about.fields() { input type="hidden" name=(name) value=(value); }
            input type="hidden" name="token" value=(token);
            button type="submit" { (label) @if !which.is_empty() { span.unseen { (which) } } }
        }
    }
}
