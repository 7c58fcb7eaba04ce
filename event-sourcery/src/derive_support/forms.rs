//! Stored forms: older ones are turned into the current one, newer ones are refused.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::error::DecodeError;
use crate::payload;
use crate::upcast::{Split, StoredForm, Upcaster};

/// The version of the current form of an event with these steps.
#[must_use]
pub const fn current_version(steps: &[Upcaster]) -> u32 {
    // A type with four thousand million steps does not compile.
    steps.len() as u32 + 1
}

/// A payload in the current form. One that is in it already is handed back as it is.
///
/// # Errors
///
/// [`DecodeError`], for a newer form and for a step that fails.
#[inline]
pub fn upcast<'d>(
    name: &str,
    schema_version: u32,
    data: &'d str,
    steps: &[Upcaster],
) -> Result<Cow<'d, str>, DecodeError> {
    if schema_version == current_version(steps) {
        return Ok(Cow::Borrowed(data));
    }
    upcast_in_steps(name, schema_version, data, steps)
}

#[cold]
fn upcast_in_steps<'d>(
    name: &str,
    schema_version: u32,
    data: &'d str,
    steps: &[Upcaster],
) -> Result<Cow<'d, str>, DecodeError> {
    let mut form = stored_form(name, schema_version, data)?;
    run(steps, &mut form)?;
    let (_, _, data) = form.into_parts();
    Ok(Cow::Owned(data))
}

/// Runs the steps from the version of the form on.
fn run(steps: &[Upcaster], form: &mut StoredForm) -> Result<(), DecodeError> {
    let (found, known) = (form.schema_version(), current_version(steps));
    if found > known {
        return Err(DecodeError::NewerForm { found, known });
    }
    for step in steps.iter().skip((found as usize).saturating_sub(1)) {
        let from = form.schema_version();
        step(form).map_err(|problem| DecodeError::UpcastFailed { from, problem })?;
        form.advance();
    }
    Ok(())
}

/// A former name that stands for several events.
#[derive(Debug, Clone, Copy)]
pub struct SplitName<'s> {
    /// The former name.
    pub name: &'s str,
    /// The steps that its forms take first.
    pub steps: &'s [Upcaster],
    /// What decides which event it has become.
    pub split: Split,
}

/// What a former event has become: the name, the version of the form, and the payload. `splits` are in the order in which
/// they were declared: what one of them answers with may be split by a later one. `names` are all that the type decodes.
///
/// # Errors
///
/// [`DecodeError`], for a newer form, for a step or a split that fails, and for one that answers with a name that stands for
/// no event.
pub fn split(
    name: &str,
    schema_version: u32,
    data: &str,
    splits: &[SplitName<'_>],
    names: &[&str],
) -> Result<(Cow<'static, str>, u32, String), DecodeError> {
    let mut form = stored_form(name, schema_version, data)?;
    let failed = |from, problem| DecodeError::UpcastFailed { from, problem };
    let mut later = splits.iter();
    while let Some(SplitName { steps, split, .. }) = later.find(|former| former.name == form.name()) {
        run(steps, &mut form)?;
        let from = form.schema_version();
        let successor = split(&mut form).map_err(|problem| failed(from, problem))?;
        form.become_successor(successor);
    }
    let is_split = splits.iter().any(|former| former.name == form.name());
    if is_split || !names.contains(&form.name()) {
        let problem = format!(
            "{name:?} is to become {:?}, which is no event of this type, nor one that is split further down",
            form.name()
        );
        return Err(failed(schema_version, problem.into()));
    }
    Ok(form.into_parts())
}

fn stored_form(name: &str, schema_version: u32, data: &str) -> Result<StoredForm, DecodeError> {
    payload::expect_object(data)?;
    let fields: Map<String, Value> = serde_json::from_str(data)?;
    Ok(StoredForm::new(Cow::Owned(name.to_owned()), schema_version.max(1), fields))
}
