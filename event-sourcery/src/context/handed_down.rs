//! What a handle hands down to the events that are appended through it.

use std::sync::Arc;

use uuid::Uuid;

use super::Context;
use crate::wrapped_event::WrappedEvent;

/// What a handle hands down to events that say nothing else: the ids of a request, or of the event that is reacted to, and the
/// components of a request. It is cloned for each event that a handler is given, so it is cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct HandedDown {
    correlation_id: Option<Uuid>,
    causation_id: Option<Uuid>,
    /// Components, and what stands at the root beside the ids.
    rest: Option<Arc<Context>>,
}

impl HandedDown {
    /// What an event hands down to those that it causes, in the place of the ids so far.
    pub(crate) fn caused_by<E>(&self, event: &WrappedEvent<E>) -> Self {
        Self {
            correlation_id: event.context.correlation_id,
            causation_id: Some(event.uuid),
            rest: self.rest.clone(),
        }
    }

    /// The same with a context, which goes before what was there.
    pub(crate) fn with(&self, mut context: Context) -> Self {
        context.inherit(self);
        Self {
            correlation_id: context.correlation_id.take(),
            causation_id: context.causation_id.take(),
            rest: (context != Context::default()).then(|| Arc::new(context)),
        }
    }
}

impl Context {
    /// Takes over what is handed down, where nothing was set.
    pub(crate) fn inherit(&mut self, from: &HandedDown) {
        self.correlation_id = self.correlation_id.or(from.correlation_id);
        self.causation_id = self.causation_id.or(from.causation_id);
        let Some(rest) = &from.rest else { return };
        for (own, handed_down) in [(&mut self.components, &rest.components), (&mut self.rest, &rest.rest)] {
            for (name, value) in handed_down {
                if !own.contains_key(name) {
                    own.insert(name.clone(), value.clone());
                }
            }
        }
    }
}
