//! A deserialiser that holds no data: it finds out what a type asks for, and whether it takes what it is served.
//!
//! Each run goes one way: down a path from the payload to one place in it. There it notes what is asked for, or serves a JSON
//! text, and ends. So no field of a type can hide another.

mod access;
mod deserializer;

use std::cell::RefCell;
use std::fmt::{self, Display};

use serde::de;

use super::findings::Panicked;
use crate::panics::caught;

/// A step of a path.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Into an `Option`.
    Some,
    /// To an element of a list or tuple, behind these.
    Item(Vec<String>),
    /// To the key of a map.
    Key,
    /// To the value of a map, under this key, as JSON.
    Value(String),
    Field(&'static str),
    Variant(&'static str),
    /// To the content of a variant that a field before it tells.
    Content {
        tag: &'static str,
        variant: &'static str,
        content: &'static str,
    },
    /// Into the one unnamed field of a variant.
    Inner,
}

/// What a type asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Bool,
    Integer {
        kind: &'static str,
        most: &'static str,
        least: &'static str,
    },
    Float(&'static str),
    Char,
    Text,
    Bytes,
    Option,
    Unit,
    List,
    Tuple(usize),
    Map,
    Struct(&'static str, &'static [&'static str]),
    Enum(&'static str, &'static [&'static str]),
    /// The one unnamed field of a variant.
    Newtype,
    Any,
}

/// One way down.
pub(super) struct Run<'r> {
    path: &'r [Step],
    /// What is served at the end of the path; `None`: what is asked for there is noted.
    serves: Option<&'r str>,
    request: RefCell<Option<Request>>,
    outcome: RefCell<Option<Result<(), String>>>,
}

/// A type that is probed.
pub(super) struct Target<'t> {
    read: &'t dyn Fn(Probe<'_>) -> Result<(), Stop>,
    panicked: RefCell<Option<Panicked>>,
}

impl<'t> Target<'t> {
    pub(super) fn new(read: &'t dyn Fn(Probe<'_>) -> Result<(), Stop>) -> Self {
        Self { read, panicked: RefCell::default() }
    }

    /// The first panic at something that was served.
    pub(super) fn panicked(self) -> Option<Panicked> {
        self.panicked.into_inner()
    }

    /// Whether the type takes the run as a whole. Behind what was served a run just ends: what a type makes of that says
    /// nothing.
    fn go(&self, run: &Run<'_>) -> Result<(), Stop> {
        let ended = caught(|| (self.read)(Probe { run, depth: 0 }));
        ended.unwrap_or_else(|words| {
            if let (Some(given), None) = (run.serves, &*run.outcome.borrow()) {
                let panicked =
                    || Panicked { given: given.to_owned(), place: place(run.path), words: words.clone() };
                self.panicked.borrow_mut().get_or_insert_with(panicked);
            }
            Err(Stop(words))
        })
    }
}

/// What a place is called, in the words of [`Shape::untraced`](super::shape::Shape::untraced).
fn place(path: &[Step]) -> String {
    let names = path.iter().filter_map(|step| match step {
        Step::Field(name) | Step::Variant(name) | Step::Content { content: name, .. } => Some(*name),
        Step::Value(_) => Some("{}"),
        Step::Some | Step::Item(_) | Step::Key | Step::Inner => None,
    });
    names.collect::<Vec<_>>().join(".")
}

impl<'r> Run<'r> {
    fn new(path: &'r [Step], serves: Option<&'r str>) -> Self {
        Self { path, serves, request: RefCell::default(), outcome: RefCell::default() }
    }
}

/// What is asked for at the end of a path; `None` where the type never gets there.
pub(super) fn request(target: &Target<'_>, path: &[Step]) -> Option<Request> {
    let run = Run::new(path, None);
    let _ = target.go(&run);
    run.request.take()
}

/// Whether a JSON text is taken at the end of a path; an error says why not.
pub(super) fn takes(target: &Target<'_>, path: &[Step], text: &str) -> Result<(), String> {
    let run = Run::new(path, Some(text));
    let whole = target.go(&run);
    let outcome = if path.is_empty() { Some(whole.map_err(|stop| stop.0)) } else { run.outcome.take() };
    outcome.unwrap_or_else(|| Err("it is never read".to_owned()))
}

/// The end of a run, or what a type says against what it was served.
#[derive(Debug)]
pub(crate) struct Stop(String);

impl Stop {
    fn here() -> Self {
        Self("the probe ends here".to_owned())
    }
}

impl Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// A place on the way.
#[derive(Clone, Copy)]
pub(crate) struct Probe<'r> {
    run: &'r Run<'r>,
    depth: usize,
}

/// What is to be done at a place.
enum Turn<'r> {
    Serve(&'r str),
    Descend(&'r Step),
    Stop,
}

type Json<'r> = serde_json::Deserializer<serde_json::de::StrRead<'r>>;

impl<'r> Probe<'r> {
    fn turn(self, request: Request) -> Turn<'r> {
        match (self.run.path.get(self.depth), self.run.serves) {
            (Some(step), _) => Turn::Descend(step),
            (None, Some(text)) => Turn::Serve(text),
            (None, None) => {
                self.run.request.borrow_mut().get_or_insert(request);
                Turn::Stop
            }
        }
    }

    /// Goes one step further; behind the end of the path the run is over.
    fn descend<T>(self, visit: impl FnOnce(Self) -> Result<T, Stop>) -> Result<T, Stop> {
        let below = Self { depth: self.depth + 1, ..self };
        let visited = visit(below);
        if below.depth < below.run.path.len() {
            return visited;
        }
        let outcome = visited.map(drop).map_err(|stop| stop.0);
        self.run.outcome.borrow_mut().get_or_insert(outcome);
        Err(Stop::here())
    }

    fn ask<T>(
        self,
        request: Request,
        serve: impl FnOnce(&mut Json<'r>) -> serde_json::Result<T>,
    ) -> Result<T, Stop> {
        match self.turn(request) {
            Turn::Stop | Turn::Descend(_) => Err(Stop::here()),
            Turn::Serve(text) => {
                let mut json = serde_json::Deserializer::from_str(text);
                let served = serve(&mut json)?;
                json.end()?;
                Ok(served)
            }
        }
    }
}
