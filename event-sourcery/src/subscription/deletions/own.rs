//! What the transaction of a handler has deleted itself. Those streams are blocked no more, whatever its progress says of them.

use std::collections::HashSet;
use std::sync::Mutex;

use super::{Deletions, Noted};
use crate::backend::ProgressRequest;
use crate::stream_id::{StreamId, TenantId};

impl Deletions {
    /// Those of a handler's transaction: each is known by its stream, however many there are.
    pub(in crate::subscription) fn of_handler() -> Self {
        let noted = Noted { own: Some(HashSet::new()), ..Noted::default() };
        Self { noted: Mutex::new(noted), ..Self::default() }
    }

    /// Notes that a transaction was to delete a stream, and whether it has.
    pub(crate) fn note_within(&self, tenant: &TenantId, stream: &StreamId, is_deleted: bool) {
        self.note(tenant, stream);
        let mut noted = self.noted();
        if let Some(own) = noted.own.as_mut().filter(|_| is_deleted) {
            own.insert((tenant.clone(), stream.without_name()));
        }
    }

    /// The same progress without the streams that this transaction has deleted; `None` where there are none.
    pub(in crate::subscription) fn leave_out_of(
        &self,
        progress: &ProgressRequest,
    ) -> Option<ProgressRequest> {
        let noted = self.noted();
        let own = noted.own.as_ref()?;
        let mut left = progress.clone();
        left.streams.retain(|progress| {
            let (tenant, stream) = progress.stream();
            !own.contains(&(tenant.clone(), stream.without_name()))
        });
        (left.streams.len() < progress.streams.len()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{StreamProgress, SubscriptionId};

    #[test]
    fn what_was_deleted_is_left_out_and_what_may_have_been_is_not() {
        let streams: [_; 4] = std::array::from_fn(|_| StreamId::random());
        let waits = streams.iter().map(|stream| StreamProgress::Waits(TenantId::DEFAULT, stream.clone()));
        let id = SubscriptionId::new(TenantId::DEFAULT, "letters");
        let progress = ProgressRequest::new(id).with_streams(waits.collect());
        let own = Deletions::of_handler();
        own.note_within(&TenantId::new("acme").unwrap(), &streams[0], true);
        own.note_within(&TenantId::DEFAULT, &streams[1], false);
        assert!(own.leave_out_of(&progress).is_none());
        own.note_within(&TenantId::DEFAULT, &streams[2], true);
        // Far more than are known by their streams elsewhere.
        (0..2_000).for_each(|_| own.note_within(&TenantId::DEFAULT, &StreamId::random(), true));
        let left = own.leave_out_of(&progress).unwrap().streams;
        let left: Vec<_> = left.iter().map(|progress| progress.stream().1.clone()).collect();
        assert_eq!(left, [streams[0].clone(), streams[1].clone(), streams[3].clone()]);
        let of_others = Deletions::default();
        of_others.note_within(&TenantId::DEFAULT, &streams[2], true);
        assert!(of_others.leave_out_of(&progress).is_none());
    }
}
