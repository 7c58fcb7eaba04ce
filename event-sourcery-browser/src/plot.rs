//! A line over time, as SVG.

use maud::{Markup, html};

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 96.0;

/// A plot of numbers, each with how many seconds ago it was. What it says is in its caption too. Less than two make no line.
pub(crate) fn plot(points: &[(f64, f64)], what: &str) -> Markup {
    let Some((_, last)) = points.last() else {
        return html! { figure.plot { figcaption { (what) ": known once this page was looked at twice." } } };
    };
    let last = told(*last);
    if points.len() < 2 {
        return html! { figure.plot { figcaption { (what) ": " (last) " now. A line is drawn once more is known." } } };
    }
    let longest = points.iter().map(|(ago, _)| *ago).fold(1.0, f64::max);
    let most = points.iter().map(|(_, number)| *number).fold(0.0, f64::max);
    let caption = format!("{what}: {last} now, {} at most in the last {longest:.0} s", told(most));
    let scale = most.max(1.0);
    let x = |ago: f64| format!("{:.1}", WIDTH * (1.0 - ago / longest));
    let at = |(ago, number): &(f64, f64)| {
        format!("{},{:.1}", x(*ago), HEIGHT - 4.0 - (HEIGHT - 8.0) * number / scale)
    };
    let line = points.iter().map(at).collect::<Vec<_>>().join(" ");
    let (begins, ends) =
        (points.first().map_or(0.0, |(ago, _)| *ago), points.last().map_or(0.0, |(ago, _)| *ago));
    let area = format!("{},92 {line} {},92", x(begins), x(ends));
    html! {
        figure.plot {
            svg viewBox="0 0 600 96" preserveAspectRatio="none" role="img" aria-label=(caption) {
                line.ground x1="0" y1="92" x2="600" y2="92" {}
                polygon.area points=(area) {}
                polyline.line points=(line) {}
            }
            figcaption { (caption) }
        }
    }
}

/// A number with a decimal, unless it is whole.
fn told(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_drawn_of_two_points_and_a_number_is_told_of_one() {
        let shown = |points: &[(f64, f64)]| plot(points, "Events behind").into_string();
        assert!(shown(&[]).contains("known once"));
        let one = shown(&[(0.0, 7.0)]);
        assert!(one.contains("Events behind: 7 now") && !one.contains("<svg"), "{one}");
        let two = shown(&[(10.0, 7.0), (0.0, 3.5)]);
        assert!(two.contains("3.5 now, 7 at most in the last 10 s"), "{two}");
        assert!(two.contains("<polyline class=\"line\" points=\"0.0,4.0 600.0,48.0\""), "{two}");
    }
}
