//! The guide page *traces and metrics* lists each metric as it is.

use event_sourcery_opentelemetry::METRICS;

const PAGE: &str = include_str!("../../../event-sourcery/guide/traces-and-metrics.md");

#[test]
fn the_guide_lists_each_metric_with_its_kind_unit_and_meaning_and_no_other() {
    let (_, list) = PAGE.split_once("## The metrics").expect("its heading");
    let (list, _) = list.split_once("## What to watch").expect("the next one");
    let listed: Vec<_> = list.lines().filter(|line| line.starts_with("| `event_sourcery.")).collect();
    let row = |metric: &event_sourcery_opentelemetry::Metric| {
        let (name, kind, unit) = (metric.name, metric.kind.as_str(), metric.unit);
        format!("| `{name}` | {kind} | `{unit}` | {} |", metric.description)
    };
    assert_eq!(listed, METRICS.iter().map(row).collect::<Vec<_>>());
}
