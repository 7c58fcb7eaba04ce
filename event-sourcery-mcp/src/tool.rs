//! Which tools there are, and what an assistant is told of them.

use rmcp::model::{self, JsonObject, ToolAnnotations};
use serde_json::{Value, json};

use crate::asked::MOST;
use crate::failure::Failure;
use crate::{Tools, acting, asked, looking};

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Streams,
    Stream,
    Event,
    Causes,
    Correlation,
    Search,
    Counts,
    Subscriptions,
    Subscription,
    Outbox,
    Holders,
    Replay,
    Skip,
}

/// An argument: its name, its type in JSON Schema, what it is, and whether it has to be there.
type Argument = (&'static str, &'static str, &'static str, bool);

const FROM: Argument = ("from", "string", "Where to go on: the `next` of an earlier answer.", false);
const LIMIT: Argument = ("limit", "integer", "At most so many: 20 without, 100 at most.", false);
const TENANT: Argument = ("tenant", "string", "Whose: this tenant's alone.", false);
const CATEGORY: Argument = ("category", "string", "The category of the stream.", false);
const OF_CATEGORY: Argument = ("category", "string", "Only this category's.", false);
const ID: Argument = ("id", "string", "The UUID of the event.", true);
const NAME: Argument = ("name", "string", "The name of the subscription; without, it is the outbox.", false);
const POSITION: Argument = ("position", "integer", "The position of the failed event.", true);
const WAITING: Argument =
    ("stream", "string", "The UUID of the stream that waits; where several wait at the position.", false);

impl Tool {
    const ALL: [Self; 13] = [
        Self::Streams,
        Self::Stream,
        Self::Event,
        Self::Causes,
        Self::Correlation,
        Self::Search,
        Self::Counts,
        Self::Subscriptions,
        Self::Subscription,
        Self::Outbox,
        Self::Holders,
        Self::Replay,
        Self::Skip,
    ];

    /// Those that an assistant has.
    pub(crate) fn all(may_act: bool) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |tool| may_act || !tool.acts())
    }

    pub(crate) const fn acts(self) -> bool {
        matches!(self, Self::Replay | Self::Skip)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Streams => "streams",
            Self::Stream => "stream",
            Self::Event => "event",
            Self::Causes => "causes",
            Self::Correlation => "correlation",
            Self::Search => "search",
            Self::Counts => "counts",
            Self::Subscriptions => "subscriptions",
            Self::Subscription => "subscription",
            Self::Outbox => "outbox",
            Self::Holders => "holders",
            Self::Replay => "replay",
            Self::Skip => "skip",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::Streams => {
                "Lists streams, each with its last event: those whose name begins so, by name; without a prefix, those that were begun \
                 last first."
            }
            Self::Stream => "Shows the events of a stream, from the last one back: what happened to it.",
            Self::Event => "Shows an event, with its payload and its context.",
            Self::Causes => {
                "Tells why an event happened (what has caused it, the nearest first) and what it has caused, in the order of positions."
            }
            Self::Correlation => {
                "Shows what one request has caused: the events of a correlation id, from the newest one back. No index has them: an \
                 answer looks at one stretch of the store, and may be empty although there are more."
            }
            Self::Search => {
                "Searches events by type, category and tenant, from the newest one back. An answer looks at a bounded number of \
                 events, and may be empty although there are more."
            }
            Self::Counts => {
                "Counts streams by tenant or by category, or events by type, and says which counts are exact."
            }
            Self::Subscriptions => {
                "Lists durable subscriptions: how far each has come, how far it is behind, and who works on it."
            }
            Self::Subscription => {
                "Shows a durable subscription, and the streams that wait in it for a failed event: which event, how often it was tried, \
                 and with what it failed. Without a name, it is what publishes the outbox."
            }
            Self::Outbox => "Lists what is to be published, the oldest first.",
            Self::Holders => "Tells how far readers can come, and which open transactions hold them up.",
            Self::Replay => {
                "Lets a failed event be tried again, with all its attempts before it, and those behind it in its stream."
            }
            Self::Skip => {
                "Leaves a failed event out, for good, and goes on with those behind it in its stream."
            }
        }
    }

    const fn arguments(self) -> &'static [Argument] {
        match self {
            Self::Streams => {
                &[("prefix", "string", "How the name begins.", false), OF_CATEGORY, TENANT, FROM, LIMIT]
            }
            Self::Stream => {
                &[("stream", "string", "Its name, or its UUID.", true), CATEGORY, TENANT, FROM, LIMIT]
            }
            Self::Event | Self::Causes => &[ID],
            Self::Correlation => &[("id", "string", "The correlation id.", true), FROM],
            Self::Search => &[
                ("type", "string", "The stored name of the type of event.", false),
                OF_CATEGORY,
                TENANT,
                FROM,
                LIMIT,
            ],
            Self::Counts => &[
                ("of", "string", "What is counted: `tenants`, `categories` or `events`.", true),
                FROM,
                LIMIT,
            ],
            Self::Subscriptions => &[TENANT, FROM, LIMIT],
            Self::Subscription => &[NAME, TENANT, FROM, LIMIT],
            Self::Outbox => &[FROM, LIMIT],
            Self::Holders => &[],
            Self::Replay | Self::Skip => &[NAME, TENANT, POSITION, WAITING],
        }
    }

    /// What an assistant is told of it.
    pub(crate) fn described(self) -> model::Tool {
        let hints = ToolAnnotations::new().read_only(!self.acts()).destructive(self == Self::Skip);
        let tool = model::Tool::new(self.name(), self.description(), schema(self.arguments()));
        tool.with_annotations(hints.idempotent(!self.acts()).open_world(false))
    }

    /// Answers a call.
    pub(crate) async fn call(self, tools: &Tools, arguments: JsonObject) -> Result<Value, Failure> {
        let Tools { store, .. } = tools;
        match self {
            Self::Streams => looking::streams(store, asked::read(arguments)?).await,
            Self::Stream => looking::stream(store, asked::read(arguments)?).await,
            Self::Event => looking::event(store, asked::read(arguments)?).await,
            Self::Causes => looking::causes(store, asked::read(arguments)?).await,
            Self::Correlation => looking::correlation(store, asked::read(arguments)?).await,
            Self::Search => looking::search(store, asked::read(arguments)?).await,
            Self::Counts => looking::counts(store, asked::read(arguments)?).await,
            Self::Subscriptions => looking::subscriptions(store, asked::read(arguments)?).await,
            Self::Subscription => looking::subscription(store, asked::read(arguments)?).await,
            Self::Outbox => looking::outbox(store, asked::read(arguments)?).await,
            Self::Holders => looking::holders(store, asked::read(arguments)?).await,
            Self::Replay => acting::replay(store, asked::read(arguments)?).await,
            Self::Skip => acting::skip(store, asked::read(arguments)?).await,
        }
    }
}

/// The arguments as JSON Schema has them.
fn schema(arguments: &[Argument]) -> JsonObject {
    let mut properties = JsonObject::new();
    for (name, kind, description, _) in arguments {
        let mut property = json!({ "type": kind, "description": description });
        if *name == LIMIT.0
            && let Some(property) = property.as_object_mut()
        {
            property.insert("minimum".to_owned(), 1.into());
            property.insert("maximum".to_owned(), MOST.into());
        }
        properties.insert((*name).to_owned(), property);
    }
    let required: Vec<_> =
        arguments.iter().filter(|argument| argument.3).map(|argument| argument.0).collect();
    let mut schema = JsonObject::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), properties.into());
    schema.insert("required".to_owned(), required.into());
    schema.insert("additionalProperties".to_owned(), false.into());
    schema
}
