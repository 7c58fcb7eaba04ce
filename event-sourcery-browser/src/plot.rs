//! A line over time, as SVG.

use maud::{Markup, html};

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 96.0;

/// A plot of numbers, each with how many seconds ago it was. What it says is in its caption too.
pub(crate) fn plot(points: &[(f64, f64)], what: &str) -> Markup {
    let [.., (_, last)] = points else {
        return html! { figure.plot { figcaption { (what) ": known once this page was looked at twice." } } };
    };
    let longest = points.iter().map(|(ago, _)| *ago).fold(1.0, f64::max);
    let most = points.iter().map(|(_, number)| *number).fold(0.0, f64::max);
    let caption = format!("{what}: {last:.1} now, {most:.1} at most in the last {longest:.0} s");
    let scale = most.max(1.0);
    let at = |(ago, number): &(f64, f64)| {
        format!("{:.1},{:.1}", WIDTH * (1.0 - ago / longest), HEIGHT - 4.0 - (HEIGHT - 8.0) * number / scale)
    };
    let line = points.iter().map(at).collect::<Vec<_>>().join(" ");
    html! {
        figure.plot {
            svg viewBox="0 0 600 96" preserveAspectRatio="none" role="img" aria-label=(caption) {
                line.ground x1="0" y1="92" x2="600" y2="92" {}
                polyline.line points=(line) {}
            }
            figcaption { (caption) }
        }
    }
}
