//! The plot: for each workload a bar for each of the others, as a share of ours. Its colours follow the reader's scheme, light or dark.

use std::fmt::{self, Write as _};

use crate::contender::{CONTENDERS, Contender};
use crate::figure::{Figure, Measured};
use crate::place::Backend;
use crate::workload::WORKLOADS;

const WIDTH: f64 = 860.0;
const LABELS: f64 = 290.0;
const VALUES: f64 = 60.0;
const BAR: f64 = 12.0;
const BETWEEN: f64 = 10.0;
const HEADING: f64 = 54.0;
/// What is drawn at the right end: longer bars are cut there.
const END: f64 = 1.5;
/// The colours of the others, in light and in dark.
const COLOURS: [(&str, &str); 5] = [
    ("#4c78a8", "#79a6d6"),
    ("#b5702a", "#e0a163"),
    ("#3f8f4f", "#74c685"),
    ("#8a5aa8", "#c096dd"),
    ("#8f8227", "#cfc062"),
];

pub fn draw(figures: &[Figure]) -> Result<String, fmt::Error> {
    let mut body = String::new();
    let mut top = 8.0;
    for backend in Backend::ALL {
        top = panel(&mut body, backend, figures, top)?;
    }
    legend(&mut body, top + 16.0)?;
    let height = top + 34.0;
    let mut svg = String::new();
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">"#
    )?;
    style(&mut svg)?;
    write!(svg, "<rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n{body}</svg>\n")?;
    Ok(svg)
}

fn style(svg: &mut String) -> fmt::Result {
    writeln!(svg, "<style>")?;
    scheme(svg, ["#ffffff", "#222222", "#dddddd"])?;
    for (number, (light, _)) in COLOURS.iter().enumerate() {
        writeln!(svg, ".peer{number} {{ fill: {light} }}")?;
    }
    writeln!(svg, "@media (prefers-color-scheme: dark) {{")?;
    scheme(svg, ["#0d1117", "#e6edf3", "#30363d"])?;
    for (number, (_, dark)) in COLOURS.iter().enumerate() {
        writeln!(svg, ".peer{number} {{ fill: {dark} }}")?;
    }
    writeln!(svg, "}}\n</style>")
}

fn scheme(svg: &mut String, [page, ink, grid]: [&str; 3]) -> fmt::Result {
    writeln!(svg, ".page {{ fill: {page} }} text {{ fill: {ink} }}")?;
    writeln!(svg, "line {{ stroke: {grid} }} .ours {{ stroke: {ink} }}")
}

/// Where a share of ours is, from the left.
fn x(share: f64) -> f64 {
    LABELS + share.min(END) / END * (WIDTH - LABELS - VALUES)
}

/// Draws a backend's workloads, if there are any, and tells where they end.
fn panel(svg: &mut String, backend: Backend, figures: &[Figure], top: f64) -> Result<f64, fmt::Error> {
    let figures: Vec<_> = figures.iter().filter(|figure| figure.backend == backend).collect();
    let mut rows = String::new();
    let mut y = top + HEADING;
    for workload in &WORKLOADS {
        let row: Vec<_> = figures.iter().filter(|figure| figure.workload == workload.name).collect();
        if row.is_empty() {
            continue;
        }
        let runs = move |(_, contender): &(usize, &Contender)| contender.runs_on(backend);
        let others = || CONTENDERS.iter().skip(1).enumerate().filter(runs);
        let bars = others().count() as f64;
        let middle = y + bars * BAR / 2.0 + 4.0;
        let label = LABELS - 8.0;
        writeln!(rows, r#"<text x="{label}" y="{middle:.1}" text-anchor="end">{}</text>"#, workload.heading)?;
        for (line, (number, contender)) in others().enumerate() {
            let figure = row.iter().find(|figure| figure.peer == contender.name);
            bar(&mut rows, number, figure.map(|figure| &figure.measured), y + line as f64 * BAR)?;
        }
        y += bars * BAR + BETWEEN;
    }
    if rows.is_empty() {
        return Ok(top);
    }
    writeln!(
        svg,
        r#"<text x="14" y="{}" font-weight="bold" font-size="14">{}: throughput as a share of ours (less than 1: ours is faster)</text>"#,
        top + 18.0,
        backend.heading()
    )?;
    for line in 0..=6 {
        let share = f64::from(line) * 0.25;
        let class = if line == 4 { r#" class="ours""# } else { "" };
        writeln!(
            svg,
            r#"<line{class} x1="{0:.1}" y1="{1}" x2="{0:.1}" y2="{y}"/>"#,
            x(share),
            top + HEADING - 6.0
        )?;
        writeln!(
            svg,
            r#"<text x="{:.1}" y="{}" text-anchor="middle" font-size="11">{share}</text>"#,
            x(share),
            top + HEADING - 10.0
        )?;
    }
    svg.push_str(&rows);
    Ok(y + 8.0)
}

fn bar(svg: &mut String, number: usize, measured: Option<&Measured>, top: f64) -> fmt::Result {
    let text = top + BAR - 2.0;
    match measured {
        Some(Measured::Values { ours, .. }) => {
            let (share, left) = (1.0 / ours, x(0.0));
            writeln!(
                svg,
                r#"<rect class="peer{number}" x="{left:.1}" y="{top:.1}" width="{:.1}" height="{:.1}"/>
<text x="{:.1}" y="{text:.1}" text-anchor="end" font-size="11">{share:.2}</text>"#,
                x(share) - left,
                BAR - 1.0,
                WIDTH - 12.0,
            )
        }
        Some(Measured::Failed(_)) => {
            writeln!(svg, r#"<text x="{:.1}" y="{text:.1}" font-size="11">failed</text>"#, x(0.0) + 4.0)
        }
        Some(Measured::Followed(_)) | None => Ok(()),
    }
}

fn legend(svg: &mut String, y: f64) -> fmt::Result {
    for (number, contender) in CONTENDERS.iter().skip(1).enumerate() {
        let left = LABELS + number as f64 * 130.0;
        writeln!(
            svg,
            r#"<rect class="peer{number}" x="{left:.1}" y="{:.1}" width="12" height="12"/><text x="{:.1}" y="{y:.1}">{}</text>"#,
            y - 11.0,
            left + 18.0,
            contender.name,
        )?;
    }
    Ok(())
}
