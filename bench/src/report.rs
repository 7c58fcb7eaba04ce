//! Writes the figures that are kept into BENCHMARKS.md, between its markers, and draws the plot.

use std::fmt::Write as _;
use std::fs;

use crate::Result;
use crate::figure::{Figure, Target};
use crate::groups::GROUPS;
use crate::machine::Machine;
use crate::page::{number, put_between_markers};
use crate::plot;
use crate::results::Results;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../BENCHMARKS.md");
const PLOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results/figures.svg");

pub fn write(results: &Results) -> Result<()> {
    fs::write(PLOT, plot::draw(&results.figures)?)?;
    let mut page = fs::read_to_string(PAGE)?;
    if let Some(machine) = &results.machine {
        page = put_between_markers(&page, "machine", &about(machine))?;
    }
    page = put_between_markers(&page, "figures", &tables(&results.figures)?)?;
    Ok(fs::write(PAGE, page)?)
}

fn about(machine: &Machine) -> String {
    let [low, high] = machine.fdatasync_quartiles;
    format!(
        "| | |\n|---|---|\n\
        | processor | {}, {} cores |\n\
        | memory | {:.0} GB |\n\
        | disk | {}; fdatasync {:.0} µs (half of them within {low:.0} to {high:.0}) |\n\
        | kernel | Linux {} |\n\
        | SQLite | {} |\n\
        | PostgreSQL | {} |\n\
        | compiler | {} |\n\
        | last measured | {}; load average before: {} |\n",
        machine.processor,
        machine.cores,
        machine.memory_gb,
        machine.filesystem,
        machine.fdatasync,
        machine.kernel,
        machine.sqlite,
        machine.postgres.as_deref().unwrap_or("not measured"),
        machine.rustc,
        machine.measured_at,
        machine.load_average,
    )
}

fn tables(figures: &[Figure]) -> Result<String> {
    let mut text = String::new();
    for (group, (_, heading)) in GROUPS.iter().enumerate() {
        let figures: Vec<_> = figures.iter().filter(|figure| figure.group() == Some(group)).collect();
        if figures.is_empty() {
            continue;
        }
        writeln!(text, "### {heading}\n")?;
        writeln!(text, "| figure | ours | compared with | ratio | pairs | asked | met |")?;
        writeln!(text, "|---|--:|--:|--:|--:|--:|---|")?;
        for figure in figures {
            writeln!(text, "{}", row(figure))?;
        }
        writeln!(text)?;
    }
    Ok(text)
}

fn row(figure: &Figure) -> String {
    let [low, high] = figure.ratio_quartiles;
    let asked = match figure.target {
        Some(Target::AtLeast(bound)) => format!("≥ {bound:.2}"),
        Some(Target::AtMost(bound)) => format!("≤ {bound:.2}"),
        None => String::new(),
    };
    format!(
        "| `{}` | {} {} | {} {} | **{:.2}** ({low:.2} to {high:.2}) | {} | {asked} | {} |",
        figure.name,
        number(figure.value),
        figure.unit,
        number(figure.baseline),
        figure.baseline_is,
        figure.ratio,
        figure.pairs,
        match (figure.target, figure.met) {
            (None, _) => "",
            (_, true) => "yes",
            (_, false) => "no",
        },
    )
}
