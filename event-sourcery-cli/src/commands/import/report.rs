//! What an import from another store has found, done, and seen to be equal.

use std::collections::BTreeMap;

use event_sourcery_import::{Compared, Imported, Mark, Planned, Problem, Problems};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Output, safe};

/// What a program gets of a dry run.
#[derive(Serialize)]
struct PlannedJson<'a> {
    events: u64,
    streams: u64,
    types: &'a BTreeMap<String, u64>,
    derived_ids: u64,
    given_times: u64,
    streams_with_holes: u64,
    left_out: ProblemsJson<'a>,
    collisions: ProblemsJson<'a>,
    horizon: Option<i64>,
}

/// What a program gets of a run.
#[derive(Serialize)]
struct ImportedJson<'a> {
    written: u64,
    present: u64,
    left_out: ProblemsJson<'a>,
    different: ProblemsJson<'a>,
    moved_up: u64,
    mark: &'a Mark,
    began_anew: bool,
    is_clean: bool,
}

/// What a program gets of a comparison.
#[derive(Serialize)]
struct ComparedJson<'a> {
    equal: u64,
    streams: u64,
    missing: ProblemsJson<'a>,
    different: ProblemsJson<'a>,
    extra: u64,
    has_changed: bool,
    is_equal: bool,
}

#[derive(Serialize)]
struct ProblemsJson<'a> {
    count: u64,
    /// The first of them.
    first: Vec<ProblemJson<'a>>,
}

#[derive(Serialize)]
struct ProblemJson<'a> {
    category: Option<&'a str>,
    stream: &'a str,
    partition: Option<&'a str>,
    version: i64,
    position: Option<i64>,
    problem: &'a str,
}

/// Tells what would become of a store, and fails where that is not all.
pub(super) fn planned(planned: &Planned, out: &mut Output) -> Result<(), Failure> {
    let told = if out.is_json() {
        out.json(&PlannedJson {
            events: planned.events,
            streams: planned.streams,
            types: &planned.types,
            derived_ids: planned.derived_ids,
            given_times: planned.given_times,
            streams_with_holes: planned.streams_with_holes,
            left_out: ProblemsJson::of(&planned.left_out),
            collisions: ProblemsJson::of(&planned.collisions),
            horizon: planned.horizon,
        })
    } else {
        tell_planned(planned, out)
    };
    out.end(told, planned.left_out.count == 0 && planned.collisions.count == 0, Failure::NotEqual)
}

fn tell_planned(planned: &Planned, out: &mut Output) -> Result<(), Failure> {
    tell("would be left out", &planned.left_out, out)?;
    tell("would become one stream", &planned.collisions, out)?;
    for (name, count) in &planned.types {
        out.line(&safe(&format!("{count:>10}  {name}"), ""))?;
    }
    let Planned { events, streams, derived_ids, given_times, streams_with_holes, .. } = planned;
    out.line(&format!(
        "{events} events in {streams} streams, {streams_with_holes} of them with versions missing."
    ))?;
    out.line(&format!(
        "{derived_ids} events would get an id that is derived from their place, {given_times} the time that the mapping gives. \
         Nothing was written."
    ))
}

/// Tells what was imported, and fails where that is not all.
pub(super) fn imported(imported: &Imported, out: &mut Output) -> Result<(), Failure> {
    let told = if out.is_json() {
        out.json(&ImportedJson {
            written: imported.written,
            present: imported.present,
            left_out: ProblemsJson::of(&imported.left_out),
            different: ProblemsJson::of(&imported.different),
            moved_up: imported.moved_up,
            mark: &imported.mark,
            began_anew: imported.began_anew,
            is_clean: imported.is_clean(),
        })
    } else {
        tell_imported(imported, out)
    };
    out.end(told, imported.is_clean(), Failure::NotEqual)
}

fn tell_imported(imported: &Imported, out: &mut Output) -> Result<(), Failure> {
    tell("left out", &imported.left_out, out)?;
    tell("different", &imported.different, out)?;
    if imported.began_anew {
        out.line("The mark did not hold any more: everything was read again.")?;
    }
    let Imported { written, present, moved_up, .. } = imported;
    out.line(&format!(
        "{written} events written, {moved_up} of them at lower versions; {present} were there."
    ))
}

/// Tells what was compared, and fails where that is not equal.
pub(super) fn compared(compared: &Compared, out: &mut Output) -> Result<(), Failure> {
    let told = if out.is_json() {
        out.json(&ComparedJson {
            equal: compared.equal,
            streams: compared.streams,
            missing: ProblemsJson::of(&compared.missing),
            different: ProblemsJson::of(&compared.different),
            extra: compared.extra,
            has_changed: compared.has_changed,
            is_equal: compared.is_equal(),
        })
    } else {
        tell_compared(compared, out)
    };
    out.end(told, compared.is_equal(), Failure::NotEqual)
}

fn tell_compared(compared: &Compared, out: &mut Output) -> Result<(), Failure> {
    tell("missing", &compared.missing, out)?;
    tell("different", &compared.different, out)?;
    if compared.has_changed {
        out.line(
            "The source was written meanwhile: stop who writes there, import once more, and compare again.",
        )?;
    }
    let are = if compared.is_equal() { "are equal" } else { "are not equal" };
    let Compared { equal, streams, extra, .. } = compared;
    out.line(&format!(
        "{equal} events in {streams} streams are equal, {extra} are here alone: the two {are}."
    ))
}

/// The first of them, and how many others there are.
fn tell(what: &str, problems: &Problems, out: &mut Output) -> Result<(), Failure> {
    for Problem { stream, version, problem, .. } in &problems.first {
        out.line(&safe(&format!("{what}: version {version} of {}: {problem}", stream.id), ""))?;
    }
    match problems.count.saturating_sub(problems.first.len() as u64) {
        0 => Ok(()),
        more => out.line(&format!("{what}: {more} more")),
    }
}

impl<'a> ProblemsJson<'a> {
    fn of(problems: &'a Problems) -> Self {
        Self { count: problems.count, first: problems.first.iter().map(ProblemJson::of).collect() }
    }
}

impl<'a> ProblemJson<'a> {
    fn of(problem: &'a Problem) -> Self {
        Self {
            category: problem.stream.category.as_deref(),
            stream: &problem.stream.id,
            partition: problem.stream.partition.as_deref(),
            version: problem.version,
            position: problem.position,
            problem: &problem.problem,
        }
    }
}
