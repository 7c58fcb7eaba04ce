//! The trace that an event was appended in.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::context::{Context, ContextComponent};

/// The longest list of a trace's state that is handed on, in bytes: the most that others have to hand on in their turn.
const LONGEST_STATE: usize = 512;

/// The trace that an event was appended in: headers, as a propagator of OpenTelemetry writes them (`traceparent`, `tracestate`,
/// `baggage`). It is stored as the component `opentelemetry`, `{"values": {..}}`, in which Event Sourcery for Python has it, too.
///
/// `Debug` shows the names of the headers only.
///
/// ```
/// use event_sourcery::Context;
/// use event_sourcery::telemetry::TraceCarrier;
///
/// let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let context = Context::new().with_component(&TraceCarrier::new([("traceparent", parent)]))?;
/// assert_eq!(TraceCarrier::of(&context).unwrap().trace_parent(), Some(parent));
/// # Ok::<(), event_sourcery::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TraceCarrier {
    /// The headers, by name in lower case.
    pub values: BTreeMap<String, String>,
}

impl ContextComponent for TraceCarrier {
    const NAME: &'static str = "opentelemetry";
}

impl TraceCarrier {
    /// Of these headers.
    #[must_use]
    pub fn new<N: AsRef<str>, V: Into<String>>(headers: impl IntoIterator<Item = (N, V)>) -> Self {
        let header = |(name, value): (N, V)| (name.as_ref().to_ascii_lowercase(), value.into());
        Self { values: headers.into_iter().map(header).collect() }
    }

    /// That of a context; `None` where there is none, or what stands there is none.
    #[must_use]
    pub fn of(context: &Context) -> Option<Self> {
        context.component().ok().flatten()
    }

    /// A header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// The trace and the span in it, as W3C's *Trace Context* writes them; `None` where what stands there is not of that form, which
    /// nobody has to hand on.
    #[must_use]
    pub fn trace_parent(&self) -> Option<&str> {
        self.get("traceparent").filter(|parent| is_trace_parent(parent))
    }

    /// What tracing systems have added to that, in 512 bytes at most; `None` without a [`trace_parent`](Self::trace_parent).
    #[must_use]
    pub fn trace_state(&self) -> Option<&str> {
        let is_said = |state: &&str| {
            let is_plain = state.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            is_plain && !state.is_empty() && state.len() <= LONGEST_STATE
        };
        self.trace_parent().and_then(|_| self.get("tracestate")).filter(is_said)
    }
}

/// The names of the headers: what somebody has put into `baggage` may be about a person.
impl fmt::Debug for TraceCarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.values.keys().collect();
        f.debug_struct("TraceCarrier").field("headers", &names).finish()
    }
}

/// Version, trace, span and flags. Versions that are to come may have more behind these.
fn is_trace_parent(value: &str) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    let [version, trace, span, flags, rest @ ..] = parts.as_slice() else { return false };
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, length: usize| is_hex(text, length) && text.bytes().any(|byte| byte != b'0');
    let has_version = is_hex(version, 2) && *version != "ff" && (rest.is_empty() || *version != "00");
    let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic());
    has_version && is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2) && is_plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_no_trace_parent_is_not_handed_on_and_its_state_neither() {
        let later = format!("01{}-what-comes", &PARENT[2..]);
        for parent in [PARENT, &later] {
            let carrier = TraceCarrier::new([("TraceParent", parent), ("tracestate", "vendor=1")]);
            assert_eq!((carrier.trace_parent(), carrier.trace_state()), (Some(parent), Some("vendor=1")));
        }
        let more = format!("{PARENT}-more");
        let (none, nowhere) = (PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)), "");
        let (loud, broken) = (PARENT.to_uppercase(), format!("01{}-\n", &PARENT[2..]));
        for parent in ["ff", nowhere, &more, &none, &loud, &broken, "00-é-b7ad6b7169203331-01"] {
            let carrier = TraceCarrier::new([("traceparent", parent), ("tracestate", "vendor=1")]);
            assert_eq!((carrier.trace_parent(), carrier.trace_state()), (None, None), "{parent:?}");
        }
    }

    #[test]
    fn a_state_that_cannot_be_sent_is_left_out() {
        for state in ["", "vendor=\n", &"a".repeat(513)] {
            let carrier = TraceCarrier::new([("traceparent", PARENT), ("tracestate", state)]);
            assert_eq!((carrier.trace_parent(), carrier.trace_state()), (Some(PARENT), None), "{state:?}");
        }
    }
}
