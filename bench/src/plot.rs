//! The plot: a bar for each ratio, with the quartiles, and a mark where the ratio was asked to be.

use std::fmt::{self, Write as _};

use crate::figure::Figure;

const WIDTH: f64 = 860.0;
const LABELS: f64 = 210.0;
const VALUES: f64 = 60.0;
const ROW: f64 = 26.0;
const BAR: f64 = 15.0;
const HEADING: f64 = 54.0;
const MET: &str = "#4c78a8";
const MISSED: &str = "#e45756";

/// Ratios to one yardstick, on one axis.
struct Panel<'f> {
    title: &'static str,
    figures: Vec<&'f Figure>,
    /// What is drawn at the right end.
    end: f64,
    /// The distance of the lines of the grid.
    step: f64,
}

pub fn draw(figures: &[Figure]) -> Result<String, fmt::Error> {
    let of = |wanted: fn(&&Figure) -> bool| figures.iter().filter(wanted).collect();
    let panels = [
        Panel {
            title: "SQLite: throughput, as a share of what is written by hand (more is better)",
            figures: of(|figure| is_throughput(figure) && !is_of_postgres(figure)),
            end: 1.2,
            step: 0.2,
        },
        Panel {
            title: "PostgreSQL: throughput, as a share of what is written by hand (more is better)",
            figures: of(|figure| is_throughput(figure) && is_of_postgres(figure)),
            end: 2.5,
            step: 0.5,
        },
        Panel {
            title: "PostgreSQL: time that concurrent appends take, to that by hand (less is better)",
            figures: of(|figure| figure.baseline_is == "by hand" && figure.unit == "µs"),
            end: 2.0,
            step: 0.5,
        },
        Panel {
            title: "Time of an append with 10 million events in the store, to that with none (less is better)",
            figures: of(|figure| figure.baseline_is == "empty store" && figure.unit == "µs"),
            end: 2.0,
            step: 0.5,
        },
    ];
    let height: f64 = panels.iter().map(Panel::height).sum::<f64>() + 40.0;
    let mut svg = String::new();
    writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13" fill="#222">
<rect width="{WIDTH}" height="{height}" fill="white"/>"##
    )?;
    let mut top = 8.0;
    for panel in panels {
        panel.draw(&mut svg, top)?;
        top += panel.height();
    }
    legend(&mut svg, top + 14.0)?;
    writeln!(svg, "</svg>")?;
    Ok(svg)
}

fn is_throughput(figure: &Figure) -> bool {
    figure.baseline_is.starts_with("by hand") && figure.unit.ends_with("/s")
}

fn is_of_postgres(figure: &Figure) -> bool {
    figure.name.starts_with("postgres/")
}

impl Panel<'_> {
    fn height(&self) -> f64 {
        if self.figures.is_empty() { 0.0 } else { HEADING + self.figures.len() as f64 * ROW + 12.0 }
    }

    /// Where a ratio is, from the left.
    fn x(&self, ratio: f64) -> f64 {
        LABELS + ratio.min(self.end) / self.end * (WIDTH - LABELS - VALUES)
    }

    fn draw(&self, svg: &mut String, top: f64) -> fmt::Result {
        if self.figures.is_empty() {
            return Ok(());
        }
        writeln!(
            svg,
            r#"<text x="14" y="{}" font-weight="bold" font-size="14">{}</text>"#,
            top + 18.0,
            self.title
        )?;
        self.grid(svg, top + HEADING - 6.0)?;
        for (number, figure) in self.figures.iter().enumerate() {
            self.bar(svg, figure, top + HEADING + number as f64 * ROW)?;
        }
        Ok(())
    }

    fn grid(&self, svg: &mut String, top: f64) -> fmt::Result {
        let bottom = top + self.figures.len() as f64 * ROW + 4.0;
        for line in 0..=(self.end / self.step).round() as u32 {
            let ratio = f64::from(line) * self.step;
            let (x, colour) = (self.x(ratio), if (ratio - 1.0).abs() < 1e-9 { "#666" } else { "#ddd" });
            writeln!(svg, r#"<line x1="{x:.1}" y1="{top}" x2="{x:.1}" y2="{bottom}" stroke="{colour}"/>"#)?;
            writeln!(
                svg,
                r##"<text x="{x:.1}" y="{}" text-anchor="middle" font-size="11" fill="#666">{ratio:.1}</text>"##,
                top - 4.0
            )?;
        }
        Ok(())
    }

    fn bar(&self, svg: &mut String, figure: &Figure, top: f64) -> fmt::Result {
        let (middle, text) = (top + BAR / 2.0, top + BAR - 3.0);
        let (left, right) = (self.x(0.0), self.x(figure.ratio));
        let colour = if figure.met { MET } else { MISSED };
        let [low, high] = figure.ratio_quartiles.map(|ratio| self.x(ratio));
        writeln!(
            svg,
            r##"<text x="{:.1}" y="{text}" text-anchor="end">{}</text>
<rect x="{left:.1}" y="{top}" width="{:.1}" height="{BAR}" fill="{colour}"/>
<line x1="{low:.1}" y1="{middle}" x2="{high:.1}" y2="{middle}" stroke="#222" stroke-width="1.5"/>
<text x="{:.1}" y="{text}" text-anchor="end">{:.2}</text>"##,
            LABELS - 8.0,
            figure.name,
            right - left,
            WIDTH - 12.0,
            figure.ratio,
        )?;
        let Some(target) = figure.target else { return Ok(()) };
        let asked = self.x(target.bound());
        writeln!(
            svg,
            r##"<line x1="{asked:.1}" y1="{:.1}" x2="{asked:.1}" y2="{:.1}" stroke="#f2a900" stroke-width="3"/>"##,
            top - 3.0,
            top + BAR + 3.0,
        )
    }
}

fn legend(svg: &mut String, y: f64) -> fmt::Result {
    let marks =
        [(MET, "as asked or better"), (MISSED, "missed"), ("#f2a900", "asked"), ("#222", "quartiles")];
    for (place, (colour, text)) in (0..).zip(marks) {
        let x = LABELS + f64::from(place) * 155.0;
        writeln!(
            svg,
            r##"<rect x="{x}" y="{:.1}" width="12" height="12" fill="{colour}"/><text x="{}" y="{y}">{text}</text>"##,
            y - 11.0,
            x + 18.0,
        )?;
    }
    Ok(())
}
