//! `compare`: whether another store has the same events.

use clap::Args;
use event_sourcery::copy::{self, Compared, Copied, Difference, DifferenceKind};
use event_sourcery::uuid::Uuid;
use event_sourcery::{Position, StreamId, TenantId};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Output, safe};
use crate::progress::Progress;
use crate::session::{Access, Session};

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// The address of the other store
    with: String,

    /// Compares the keys of data subjects, too
    #[arg(long)]
    with_keys: bool,

    /// Tells where a reader goes on there that has read up to this position here; may be given several times
    #[arg(long, value_name = "POSITION")]
    checkpoint: Vec<i64>,
}

/// What a program gets.
#[derive(Serialize)]
struct ComparedJson<'a> {
    same: u64,
    displaced: u64,
    different: u64,
    missing: u64,
    extra: u64,
    unreadable: u64,
    missing_keys: u64,
    /// The first of what is not the same.
    differences: Vec<DifferenceJson<'a>>,
    up_to: i64,
    is_settled: bool,
    is_equal: bool,
    checkpoints: Vec<CheckpointJson>,
}

#[derive(Serialize)]
struct DifferenceJson<'a> {
    tenant: &'a TenantId,
    stream: &'a StreamId,
    id: Uuid,
    position: i64,
    problem: &'static str,
}

/// Where a reader stands, here and there.
#[derive(Serialize)]
struct CheckpointJson {
    here: i64,
    /// `null` where the two are not equal: then no position says that.
    there: Option<i64>,
}

impl Compare {
    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let source = session.open(Access::Look).await?;
        let other = session.at(&self.with)?.open(Access::Look).await?;
        let end = source.position().await?.to_i64();
        let mut progress = Progress::new();
        let told = move |so_far: &Copied| {
            progress.tell(so_far.present, Some((so_far.up_to.to_i64(), end)));
        };
        let checkpoints = self.checkpoint.iter().map(|at| Position::from_i64(*at));
        let comparing = copy::Copy::new(&source, &other).checkpoints(checkpoints).on_progress(told);
        let comparing = if self.with_keys { comparing.with_keys() } else { comparing };
        tell(&comparing.compare().await?, &self.checkpoint, out)
    }
}

/// Tells what was compared, and fails where that is not equal.
pub(super) fn tell(compared: &Compared, checkpoints: &[i64], out: &mut Output) -> Result<(), Failure> {
    let there = |here: &i64| {
        let there = compared.position(Position::from_i64(*here)).map(Position::to_i64);
        CheckpointJson { here: *here, there }
    };
    let checkpoints: Vec<_> = checkpoints.iter().map(there).collect();
    let told = if out.is_json() {
        out.json(&ComparedJson::of(compared, checkpoints))
    } else {
        tell_people(compared, &checkpoints, out)
    };
    out.end(told, compared.is_equal(), Failure::NotEqual)
}

impl<'a> ComparedJson<'a> {
    fn of(compared: &'a Compared, checkpoints: Vec<CheckpointJson>) -> Self {
        Self {
            same: compared.same,
            displaced: compared.displaced,
            different: compared.different,
            missing: compared.missing,
            extra: compared.extra,
            unreadable: compared.unreadable,
            missing_keys: compared.missing_keys,
            differences: compared.differences.iter().map(DifferenceJson::of).collect(),
            up_to: compared.up_to.to_i64(),
            is_settled: compared.is_settled,
            is_equal: compared.is_equal(),
            checkpoints,
        }
    }
}

impl<'a> DifferenceJson<'a> {
    fn of(difference: &'a Difference) -> Self {
        Self {
            tenant: &difference.tenant_id,
            stream: &difference.stream_id,
            id: difference.uuid,
            position: difference.position.to_i64(),
            problem: problem(difference.kind),
        }
    }
}

const fn problem(kind: DifferenceKind) -> &'static str {
    match kind {
        DifferenceKind::Displaced => "it stands elsewhere among the others",
        DifferenceKind::Different(problem) => problem,
        DifferenceKind::Missing => "it is missing in the other store",
        DifferenceKind::Extra => "it is in the other store alone",
        DifferenceKind::Unreadable => "it cannot be read",
        _ => "it is not the same",
    }
}

fn tell_people(compared: &Compared, checkpoints: &[CheckpointJson], out: &mut Output) -> Result<(), Failure> {
    for difference in &compared.differences {
        let Difference { stream_id, uuid, position, kind, .. } = difference;
        let told = format!("{uuid} of {stream_id}, at position {position}: {}", problem(*kind));
        out.line(&safe(&told, ""))?;
    }
    for (count, what) in [
        (compared.displaced, "stand elsewhere among the others"),
        (compared.different, "are other ones"),
        (compared.missing, "are missing there"),
        (compared.extra, "are there alone"),
        (compared.unreadable, "cannot be read"),
        (compared.missing_keys, "data subjects lack their keys there"),
    ] {
        if count > 0 {
            out.line(&format!("{count} {what}."))?;
        }
    }
    if !compared.is_settled {
        out.line(
            "An open transaction keeps readers from what stands above that: see `event-sourcery holders`.",
        )?;
    }
    let (same, up_to) = (compared.same, compared.up_to);
    let are = if compared.is_equal() { "are equal" } else { "are not equal" };
    out.line(&format!(
        "{same} events are the same, up to position {up_to} of the first store: the two {are}."
    ))?;
    for CheckpointJson { here, there } in checkpoints {
        match there {
            Some(there) => {
                out.line(&format!("Who has read up to position {here} goes on behind {there}."))?
            }
            None => {
                out.line(&format!("Where who has read up to position {here} goes on, nobody can say."))?
            }
        }
    }
    Ok(())
}
