//! Writes the figures that are kept into BENCHMARKS.md, between its markers, and draws the plot.

use std::fmt::Write as _;
use std::fs;

use crate::Result;
use crate::contender::{CONTENDERS, Contender};
use crate::figure::{Figure, Followed, Measured};
use crate::page::{number, put_between_markers};
use crate::place::Backend;
use crate::plot;
use crate::results::Results;
use crate::workload::{BESIDE, WORKLOADS, Workload};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../BENCHMARKS.md");
const PLOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/peers.svg");

pub fn write(results: &Results) -> Result<()> {
    fs::write(PLOT, plot::draw(&results.figures)?)?;
    let page = fs::read_to_string(PAGE)?;
    Ok(fs::write(PAGE, put_between_markers(&page, "peers", &section(results)?)?)?)
}

fn section(results: &Results) -> Result<String> {
    let mut text = String::new();
    if let Some(machine) = &results.machine {
        writeln!(
            text,
            "Measured {} on {}, {} cores; an fdatasync took {:.0} µs; PostgreSQL {}; load average before: {}.\n",
            machine.measured_at,
            machine.processor,
            machine.cores,
            machine.fdatasync,
            machine.postgres.as_deref().unwrap_or("not measured"),
            machine.load_average,
        )?;
    }
    for backend in Backend::ALL {
        let figures: Vec<_> = results.figures.iter().filter(|figure| figure.backend == backend).collect();
        if !figures.is_empty() {
            table(&mut text, backend, &figures)?;
        }
    }
    followed(&mut text, &results.figures)?;
    writeln!(text, "![Throughput of the others as a share of ours](bench/peers/results/peers.svg)\n")?;
    Ok(text)
}

/// A row for each workload, a column for each store.
fn table(text: &mut String, backend: Backend, figures: &[&Figure]) -> Result<()> {
    writeln!(text, "### Beside the peers, on {}\n", backend.heading())?;
    let (mut names, mut line) = (String::new(), String::new());
    for contender in columns(backend) {
        let version = figures.iter().rev().find(|figure| figure.peer == contender.name);
        write!(names, " {} {} |", contender.name, version.map_or("", |figure| figure.version.as_str()))?;
        line += "--:|";
    }
    writeln!(text, "| | |{names} ours to the best other on SQL | asked | met |")?;
    writeln!(text, "|---|---|{line}---|--:|---|")?;
    for workload in &WORKLOADS {
        let row = row_of(figures, workload.name);
        if !row.is_empty() {
            let (cells, verdict) = (cells(&row, backend), verdict(&row, workload, backend));
            writeln!(text, "| {} | {} |{cells}{verdict}", workload.heading, workload.unit)?;
        }
    }
    for (name, heading, unit) in BESIDE {
        let row = row_of(figures, name);
        if !row.is_empty() {
            writeln!(text, "| {heading} | {unit} |{} | | |", cells(&row, backend))?;
        }
    }
    writeln!(text)?;
    failures(text, figures)
}

fn row_of<'f>(figures: &[&'f Figure], workload: &str) -> Vec<&'f Figure> {
    figures.iter().copied().filter(|figure| figure.workload == workload).collect()
}

fn columns(backend: Backend) -> impl Iterator<Item = &'static Contender> {
    CONTENDERS.iter().filter(move |contender| contender.runs_on(backend))
}

fn cells(row: &[&Figure], backend: Backend) -> String {
    let cell = |name: &str| match row.iter().find(|figure| figure.peer == name).map(|figure| &figure.measured)
    {
        Some(Measured::Values { median, .. }) => format!(" {} |", number(*median)),
        Some(Measured::Failed(_)) => " failed |".to_owned(),
        Some(Measured::Followed(_)) | None => " |".to_owned(),
    };
    columns(backend).map(|contender| cell(contender.name)).collect()
}

/// How ours stands beside the best of the others on SQL: ratios are taken round by round.
fn verdict(row: &[&Figure], workload: &Workload, backend: Backend) -> String {
    let sql = CONTENDERS.iter().skip(1).filter(|contender| !contender.is_engine);
    let others = sql.filter_map(|contender| row.iter().find(|figure| figure.peer == contender.name));
    let others = others.filter_map(|figure| match &figure.measured {
        Measured::Values { ours, ours_quartiles, rounds, .. } => Some((*ours, *ours_quartiles, *rounds)),
        Measured::Followed(_) | Measured::Failed(_) => None,
    });
    let Some((ours, [low, high], rounds)) = others.min_by(|one, other| one.0.total_cmp(&other.0)) else {
        return " | | |".to_owned();
    };
    let asked = workload.asked.on(backend);
    let met = if ours >= asked { "yes" } else { "no" };
    format!(" **{ours:.2}** ({low:.2} to {high:.2}, {rounds} rounds) | ≥ {asked:.2} | {met} |")
}

/// What subscribers were handed.
fn followed(text: &mut String, figures: &[Figure]) -> Result<()> {
    let of = |figure: &Figure| match &figure.measured {
        Measured::Followed(followed) => Some((figure.peer.clone(), figure.version.clone(), *followed)),
        Measured::Values { .. } | Measured::Failed(_) => None,
    };
    let rows: Vec<_> = figures.iter().filter_map(of).collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(text, "### Beside the peers: what a subscriber is handed, on PostgreSQL\n")?;
    writeln!(
        text,
        "| store | committed | rolled back | delivered | lost | repeated | out of order in their stream |"
    )?;
    writeln!(text, "|---|--:|--:|--:|--:|--:|--:|")?;
    for (peer, version, Followed { committed, rolled_back, delivered, lost, repeated, out_of_order }) in rows
    {
        writeln!(
            text,
            "| {peer} {version} | {committed} | {rolled_back} | {delivered} | {lost} | {repeated} | {out_of_order} |"
        )?;
    }
    Ok(writeln!(text)?)
}

fn failures(text: &mut String, figures: &[&Figure]) -> Result<()> {
    for figure in figures {
        if let Measured::Failed(why) = &figure.measured {
            writeln!(text, "{} failed in `{}`: {why}\n", figure.peer, figure.workload)?;
        }
    }
    Ok(())
}
