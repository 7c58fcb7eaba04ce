//! The figures that are kept: one JSON line each, the machine first. Shared with the comparison with others, whose figures are of another
//! form and lie elsewhere: `figure` says both.

use std::fs;
use std::path::Path;

use crate::Result;
use crate::figure::{Figure, PATH};
use crate::machine::Machine;

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

    /// Puts figures in the place of those of the same. What is known of a server stays if none was measured.
    pub fn replace(&mut self, machine: Machine, figures: Vec<Figure>) {
        let known = self.machine.take().and_then(|machine| machine.postgres);
        self.machine = Some(Machine { postgres: machine.postgres.or(known), ..machine });
        self.figures.retain(|kept| !figures.iter().any(|figure| figure.is_of_the_same(kept)));
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
        if let Some(folder) = Path::new(PATH).parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(PATH, lines)?)
    }
}
