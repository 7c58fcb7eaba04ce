//! Events that were not carried over, as they are told.

use event_sourcery::copy::LeftOut;
use event_sourcery::uuid::Uuid;
use event_sourcery::{StreamId, TenantId};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Output, safe};

/// What a program gets.
#[derive(Serialize)]
pub(super) struct LeftOutJson<'a> {
    tenant: &'a TenantId,
    stream: &'a StreamId,
    id: Uuid,
    position: i64,
    problem: String,
}

impl<'a> LeftOutJson<'a> {
    pub(super) fn of(left_out: &'a LeftOut) -> Self {
        Self {
            tenant: &left_out.tenant_id,
            stream: &left_out.stream_id,
            id: left_out.uuid,
            position: left_out.position.to_i64(),
            problem: left_out.problem.in_full(),
        }
    }
}

/// One of them, in a line.
pub(super) fn line(left_out: &LeftOut) -> String {
    let (position, problem) = (left_out.position, left_out.problem.in_full());
    safe(&format!("left out, at position {position}: {problem}"), "")
}

/// The first of them, and how many others there are.
pub(super) fn tell(count: u64, described: &[LeftOut], out: &mut Output) -> Result<(), Failure> {
    for left_out in described {
        out.line(&line(left_out))?;
    }
    match count.saturating_sub(described.len() as u64) {
        0 => Ok(()),
        more => out.line(&format!("and {more} more")),
    }
}
