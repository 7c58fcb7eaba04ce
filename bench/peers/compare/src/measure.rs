//! A run: each workload on each backend, by turns.

use std::path::PathBuf;

use postgres_cluster::Cluster;

use crate::Result;
use crate::contender::{CONTENDERS, Contender, Running};
use crate::figure::{Figure, Followed, Measured};
use crate::place::{Backend, Place};
use crate::workload::{WORKLOADS, Workload};

/// How many events are written while a subscriber follows.
const FOLLOWED: usize = 4_000;
pub const FOLLOW: &str = "follow";

/// A commit takes up to 20 ms, and one of seven is refused then: so transactions end in another order than they began. The library does not
/// know of it.
const LATE: &str = "
    CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_sleep(random() * 0.02);
        IF random() < 0.15 THEN RAISE EXCEPTION 'rolled back'; END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON";

pub struct Run {
    /// Beginnings of names, like `sqlite/load`; none: all.
    pub wanted: Vec<String>,
    pub rounds: usize,
    /// By how much every round is shortened, for a try.
    pub shortened: usize,
    pub folder: PathBuf,
    pub cluster: Option<Cluster>,
    pub figures: Vec<Figure>,
}

/// One store in one workload: its process until it fails, and what its rounds showed.
struct Turn {
    contender: &'static Contender,
    process: Result<Running>,
    rounds: Vec<f64>,
}

impl Run {
    pub fn wants_any_of(&self, backend: Backend) -> bool {
        self.wants(backend, FOLLOW) || WORKLOADS.iter().any(|workload| self.wants(backend, workload.name))
    }

    fn wants(&self, backend: Backend, workload: &str) -> bool {
        let name = format!("{}/{workload}", backend.name());
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| name.starts_with(wanted.as_str()))
    }

    pub fn all(&mut self) -> Result<()> {
        for backend in Backend::ALL {
            for workload in &WORKLOADS {
                if self.wants(backend, workload.name) {
                    self.measure(backend, workload)?;
                }
            }
        }
        if self.wants(Backend::Postgres, FOLLOW) {
            self.follow()?;
        }
        Ok(())
    }

    /// Each store's own subscription, while transactions end late and in any order.
    fn follow(&mut self) -> Result<()> {
        for contender in CONTENDERS.iter().filter(|contender| contender.runs_on(Backend::Postgres)) {
            let mut running = Running::start(contender, self.place(Backend::Postgres, contender)?)?;
            if let Place::Database(database) = &running.place {
                let table = contender.events;
                database.psql(&format!(
                    "{LATE} {table} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()"
                ));
            }
            let answer = running.ask(&format!("{FOLLOW} {}", FOLLOWED / self.shortened));
            let measured = match answer {
                Ok(answer) => Measured::Followed(Followed::read(&answer)?),
                Err(error) => Measured::Failed(error.to_string()),
            };
            self.keep(Backend::Postgres, FOLLOW, contender, measured)?;
        }
        Ok(())
    }

    fn measure(&mut self, backend: Backend, workload: &Workload) -> Result<()> {
        let count = (workload.count / self.shortened).max(1);
        let mut turns = Vec::new();
        for contender in CONTENDERS.iter().filter(|contender| contender.runs_on(backend)) {
            let process = Running::start(contender, self.place(backend, contender)?);
            let mut turn = Turn { contender, process, rounds: Vec::new() };
            turn.ask(&format!("prepare {} {count}", workload.name));
            turns.push(turn);
        }
        // The first round only warms up.
        for round in 0..=self.rounds {
            for turn in &mut turns {
                let answer = turn.ask(&format!("round {} {count}", workload.name));
                if let (Some(answer), true) = (answer, round > 0) {
                    turn.rounds.push(answer.parse()?);
                }
            }
        }
        self.report(backend, workload, turns)
    }

    fn place(&self, backend: Backend, contender: &Contender) -> Result<Place> {
        match (backend, &self.cluster) {
            (Backend::Sqlite, _) => {
                let place = Place::File(self.folder.join(format!("{}.db", contender.name)));
                place.clear();
                Ok(place)
            }
            (Backend::Postgres, Some(cluster)) => Ok(Place::Database(cluster.create_database())),
            (Backend::Postgres, None) => Err("no server was started".into()),
        }
    }

    fn report(&mut self, backend: Backend, workload: &Workload, mut turns: Vec<Turn>) -> Result<()> {
        let ours = match turns.first() {
            Some(Turn { process: Ok(_), rounds, .. }) => rounds.clone(),
            Some(Turn { process: Err(error), .. }) => return Err(format!("ours failed: {error}").into()),
            None => return Ok(()),
        };
        for turn in &turns {
            let measured = match &turn.process {
                Ok(_) => Measured::of(&turn.rounds, &ours),
                Err(error) => Measured::Failed(error.to_string()),
            };
            self.keep(backend, workload.name, turn.contender, measured)?;
        }
        if workload.name == "catch-up" {
            let events = (workload.count / self.shortened) as f64;
            self.beside(backend, &mut turns, "start", |running| Ok(Some(running.started_in)))?;
            self.beside(backend, &mut turns, "memory", |running| {
                Ok(Some(running.ask("held")?.parse::<f64>()? / 1e6))
            })?;
            self.beside(backend, &mut turns, "disk", |running| {
                Ok(running.place.bytes()?.map(|bytes| bytes / events))
            })?;
        }
        Ok(())
    }

    /// Looks at each process that has got through, where there is something to see.
    fn beside(
        &mut self,
        backend: Backend,
        turns: &mut [Turn],
        name: &str,
        look: impl Fn(&mut Running) -> Result<Option<f64>>,
    ) -> Result<()> {
        let mut ours = None;
        for turn in turns {
            let Ok(running) = &mut turn.process else { continue };
            if let Some(value) = look(running)? {
                let ours = *ours.get_or_insert(value);
                self.keep(backend, name, turn.contender, Measured::of(&[value], &[ours]))?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, backend: Backend, workload: &str, of: &Contender, measured: Measured) -> Result<()> {
        let (peer, version) = (of.name.to_owned(), of.version(backend)?);
        let figure = Figure { backend, workload: workload.to_owned(), peer, version, measured };
        println!("{}", serde_json::to_string(&figure)?);
        self.figures.push(figure);
        Ok(())
    }
}

impl Turn {
    /// The answer; or none, once it has failed.
    fn ask(&mut self, order: &str) -> Option<String> {
        let answered = match &mut self.process {
            Ok(running) => running.ask(order),
            Err(_) => return None,
        };
        match answered {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.process = Err(error);
                None
            }
        }
    }
}
