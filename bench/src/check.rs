//! The guard against slower: the main ratios of all parts in a few minutes. Fails where one is below its goal.
//!
//! A figure is below its goal where even the better quartile of its ratios is: a machine is never quite quiet. What is below is measured once
//! more, and counts if it is below again. Where the figure that is kept misses its goal, and that is known, the goal is that it gets no worse.

use crate::bench::Bench;
use crate::figure::{Figure, Target};
use crate::results::Results;
use crate::{Result, folder, take};

/// The beginnings of the names of what is looked at.
const CHECKED: [&str; 25] = [
    "sequential",
    "concurrent",
    "closures",
    "batch",
    "load",
    "listening",
    "outbox/sqlite-sequential",
    "outbox/sqlite-8-tasks",
    "outbox/sqlite-32-tasks",
    "subscribe/catch-up",
    "subscribe/commit-to-handler",
    "subscribe/handlers",
    "subscribe/writers",
    "aggregate/command",
    "privacy/event",
    "privacy/catch-up",
    "postgres/sequential",
    "postgres/concurrent",
    "postgres/batch",
    "postgres/load",
    "postgres/listening",
    "postgres/subscribe/catch-up",
    "postgres/subscribe/commit-to-handler",
    "postgres/subscribe/handlers",
    "postgres/aggregate/command",
];

const PAIRS: usize = 5;
const SHORTENED: usize = 4;
/// By how much a figure that is known to miss its goal may be worse than the one that is kept.
const WORSE: f64 = 0.15;

pub fn run() -> Result<()> {
    let kept = Results::kept()?;
    let mut below = look(CHECKED.map(str::to_owned).to_vec(), &kept)?;
    if !below.is_empty() {
        println!("measured again, in case the machine was busy: {}", below.join(", "));
        let again = look(below.clone(), &kept)?;
        below.retain(|name| again.contains(name));
    }
    if below.is_empty() {
        println!("no ratio is below its goal");
        return Ok(());
    }
    Err(format!("below their goals: {}", below.join(", ")).into())
}

/// The names of the figures that are below their goals.
fn look(wanted: Vec<String>, kept: &Results) -> Result<Vec<String>> {
    let mut bench =
        Bench { wanted, pairs: PAIRS, shortened: SHORTENED, folder: folder()?, figures: Vec::new() };
    take(&mut bench)?;
    let below = bench.figures.into_iter().filter(|figure| is_below(figure, kept));
    Ok(below.map(|figure| figure.name).collect())
}

fn is_below(figure: &Figure, kept: &Results) -> bool {
    let [low, high] = figure.ratio_quartiles;
    match goal(figure, kept) {
        Some(Target::AtLeast(bound)) => high < bound,
        Some(Target::AtMost(bound)) => low > bound,
        None => false,
    }
}

fn goal(figure: &Figure, kept: &Results) -> Option<Target> {
    let known = kept.figures.iter().find(|kept| kept.name == figure.name && !kept.met);
    let Some(known) = known else { return figure.target };
    Some(match figure.target? {
        Target::AtLeast(bound) => Target::AtLeast(bound.min(known.ratio * (1.0 - WORSE))),
        Target::AtMost(bound) => Target::AtMost(bound.max(known.ratio * (1.0 + WORSE))),
    })
}
