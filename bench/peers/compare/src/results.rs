//! The figures that are kept: one JSON line each, the machine first.

use std::fs;

use crate::Result;
use crate::figure::Figure;
use crate::machine::Machine;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../results");
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/figures.jsonl");

#[derive(Default)]
pub struct Results {
    pub machine: Option<Machine>,
    pub figures: Vec<Figure>,
}

impl Results {
    pub fn kept() -> Result<Self> {
        let mut results = Self::default();
        if !fs::exists(PATH)? {
            return Ok(results);
        }
        for line in fs::read_to_string(PATH)?.lines() {
            match serde_json::from_str(line) {
                Ok(figure) => results.figures.push(figure),
                Err(_) => results.machine = Some(serde_json::from_str(line)?),
            }
        }
        Ok(results)
    }

    /// Puts figures in the place of those of the same workload and backend. What is known of a server stays if none was measured.
    pub fn replace(&mut self, machine: Machine, figures: Vec<Figure>) {
        let known = self.machine.take().and_then(|machine| machine.postgres);
        self.machine = Some(Machine { postgres: machine.postgres.or(known), ..machine });
        let is_same =
            |one: &Figure, other: &Figure| one.backend == other.backend && one.workload == other.workload;
        self.figures.retain(|kept| !figures.iter().any(|figure| is_same(kept, figure)));
        self.figures.extend(figures);
    }

    pub fn keep(&self) -> Result<()> {
        let mut lines = String::new();
        if let Some(machine) = &self.machine {
            lines += &format!("{}\n", serde_json::to_string(machine)?);
        }
        for figure in &self.figures {
            lines += &format!("{}\n", serde_json::to_string(figure)?);
        }
        fs::create_dir_all(FOLDER)?;
        Ok(fs::write(PATH, lines)?)
    }
}
