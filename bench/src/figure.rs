//! A figure: what was measured, what it is compared with, and what was asked for.

use serde::{Deserialize, Serialize};

use crate::groups::GROUPS;
pub use crate::spread::{Spread, quantile};

/// Where the figures are kept.
pub const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results/figures.jsonl");

/// One figure. Ours and what it is compared with were measured in turns, in one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    /// Ours, at the median.
    pub value: f64,
    pub unit: String,
    /// Ours to the baseline, pair by pair, at the median.
    pub ratio: f64,
    /// The quartiles of the ratios.
    pub ratio_quartiles: [f64; 2],
    /// The quartiles of the values.
    pub value_quartiles: [f64; 2],
    /// What ours is compared with, at the median.
    pub baseline: f64,
    pub baseline_is: String,
    pub pairs: usize,
    /// What was asked for, if anything.
    pub target: Option<Target>,
    pub met: bool,
}

/// What the ratio has to be.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met_by(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(bound) => ratio >= bound,
            Self::AtMost(bound) => ratio <= bound,
        }
    }

    pub const fn bound(self) -> f64 {
        match self {
            Self::AtLeast(bound) | Self::AtMost(bound) => bound,
        }
    }
}

/// One measurement of ours, and one of what it is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    pub ours: f64,
    pub baseline: f64,
}

impl Figure {
    /// Whether it is about the same as another one, in whose place it is kept then.
    pub fn is_of_the_same(&self, other: &Self) -> bool {
        self.name == other.name
    }

    pub fn of(
        name: &str,
        unit: &str,
        pairs: &[Pair],
        baseline_is: &str,
        target: impl Into<Option<Target>>,
    ) -> Self {
        let target = target.into();
        let values = Spread::of(pairs.iter().map(|pair| pair.ours));
        let ratios = Spread::of(pairs.iter().map(|pair| pair.ours / pair.baseline));
        Self {
            name: name.to_owned(),
            value: values.median,
            unit: unit.to_owned(),
            ratio: ratios.median,
            ratio_quartiles: ratios.quartiles,
            value_quartiles: values.quartiles,
            baseline: Spread::of(pairs.iter().map(|pair| pair.baseline)).median,
            baseline_is: baseline_is.to_owned(),
            pairs: pairs.len(),
            target,
            met: target.is_none_or(|target| target.is_met_by(ratios.median)),
        }
    }

    /// Which of the groups it belongs to.
    pub fn group(&self) -> Option<usize> {
        let is_of = |(group, _): &(&str, &str)| {
            self.name.strip_prefix(group).is_some_and(|rest| rest.starts_with('/'))
        };
        GROUPS.iter().position(is_of)
    }
}
