//! A figure: one store, one workload, one backend.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::place::Backend;
use crate::spread::Spread;

/// Where the figures are kept.
pub const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/figures.jsonl");

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    pub backend: Backend,
    pub workload: String,
    pub peer: String,
    pub version: String,
    pub measured: Measured,
}

impl Figure {
    /// Whether it is about the same workload on the same backend as another one, in whose place it is kept then.
    pub fn is_of_the_same(&self, other: &Self) -> bool {
        self.backend == other.backend && self.workload == other.workload
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measured {
    Values {
        median: f64,
        quartiles: [f64; 2],
        /// Ours to this one, round by round, at the median and the quartiles.
        ours: f64,
        ours_quartiles: [f64; 2],
        rounds: usize,
    },
    /// What a subscriber was handed while transactions ended late and in any order.
    Followed(Followed),
    /// It did not get through, and said this.
    Failed(String),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Followed {
    pub committed: u64,
    pub rolled_back: u64,
    pub delivered: u64,
    pub lost: u64,
    pub repeated: u64,
    pub out_of_order: u64,
}

impl Followed {
    /// From the answer of a process: the numbers in their order.
    pub fn read(answer: &str) -> Result<Self> {
        let numbers: Vec<u64> = answer.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [committed, rolled_back, delivered, lost, repeated, out_of_order] = numbers[..] else {
            return Err(format!("{answer:?} are not six numbers").into());
        };
        Ok(Self { committed, rolled_back, delivered, lost, repeated, out_of_order })
    }
}

impl Measured {
    /// The rounds of one beside those of ours.
    pub fn of(values: &[f64], ours: &[f64]) -> Self {
        let spread = Spread::of(values.iter().copied());
        let ratios = Spread::of(ours.iter().zip(values).map(|(ours, value)| ours / value));
        Self::Values {
            median: spread.median,
            quartiles: spread.quartiles,
            ours: ratios.median,
            ours_quartiles: ratios.quartiles,
            rounds: values.len(),
        }
    }
}
