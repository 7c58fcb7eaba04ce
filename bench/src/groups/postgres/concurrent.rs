//! Tasks that append at the same time, one event each time, each to streams of its own.

use crate::Result;
use crate::bench::Bench;
use crate::figure::{Figure, Pair, Target};
use crate::groups::postgres::tasks::{Appends, Round, from_version, run};
use crate::invoice::streams;
use crate::postgres::{Server, Sides};

/// How many tasks, how many appends each makes, and the throughput asked for.
const CASES: [(usize, usize, Target); 2] =
    [(8, 500, Target::AtLeast(0.95)), (32, 250, Target::AtLeast(1.50))];
const P99: Target = Target::AtMost(1.3);
/// Appends that share a statement have to pay for those who share it, too.
const MEDIAN_OF_MANY: Target = Target::AtMost(1.0);

pub async fn measure(bench: &mut Bench, server: &Server) -> Result<()> {
    for (tasks, a_task, target) in CASES {
        let (a_task, rounds) = (bench.count(a_task), bench.pairs + 1);
        let name = format!("postgres/concurrent/{tasks}/new");
        if bench.wants(&name) {
            let all = streams("invoices", tasks * a_task * rounds)?;
            let mut fresh = all.into_iter().map(|stream| (stream, 0));
            let appends =
                (0..rounds).map(|_| (0..tasks).map(|_| fresh.by_ref().take(a_task).collect()).collect());
            of_kind(bench, server, &name, appends.collect(), target).await?;
        }
        let name = format!("postgres/concurrent/{tasks}/existing");
        if bench.wants(&name) {
            let streams = streams("invoices", tasks)?;
            let appends =
                (0..rounds).map(|round| from_version(&streams, (round * a_task) as u64, a_task)).collect();
            of_kind(bench, server, &name, appends, target).await?;
        }
    }
    Ok(())
}

async fn of_kind(
    bench: &mut Bench,
    server: &Server,
    name: &str,
    rounds: Vec<Vec<Appends>>,
    target: Target,
) -> Result<()> {
    let Sides { store, by_hand, .. } = &server.both().await?;
    let (mut ours, mut theirs) = (rounds.clone().into_iter(), rounds.into_iter());
    let rounds = bench
        .take_turns(
            async || run(store, ours.next().unwrap_or_default()).await,
            async || run(by_hand, theirs.next().unwrap_or_default()).await,
        )
        .await?;
    let pairs = |of: fn(&Round) -> f64| -> Vec<Pair> {
        rounds.iter().map(|(ours, theirs)| Pair { ours: of(ours), baseline: of(theirs) }).collect()
    };
    let (rate, median, p99) =
        (pairs(|round| round.rate), pairs(|round| round.median), pairs(|round| round.p99));
    let asked_of_median = matches!(target, Target::AtLeast(ratio) if ratio > 1.0).then_some(MEDIAN_OF_MANY);
    bench.report(Figure::of(name, "appends/s", &rate, "by hand", target))?;
    bench.report(Figure::of(&format!("{name}/median"), "µs", &median, "by hand", asked_of_median))?;
    bench.report(Figure::of(&format!("{name}/p99"), "µs", &p99, "by hand", P99))
}
