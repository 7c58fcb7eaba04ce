//! `event`: an event, whole.

use clap::Args;
use event_sourcery::look::Seen;
use event_sourcery::uuid::Uuid;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::events::{EventJson, context, tags, time};
use crate::failure::Failure;
use crate::output::{Output, safe};
use crate::session::{Access, Session};
use crate::streams::name_of;

#[derive(Debug, Args)]
pub(crate) struct Event {
    /// Its id
    id: Uuid,
}

impl Event {
    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let store = session.open(Access::Look).await?;
        let Some(seen) = store.look().event(self.id).await? else { return Err(not_found(self.id)) };
        if out.is_json() {
            return out.json(&EventJson::of(&seen));
        }
        tell(&seen, out)
    }
}

pub(crate) fn not_found(id: Uuid) -> Failure {
    Failure::Refused {
        what: format!("there is no event {id}"),
        to_do: "mind the store and --tenant; if it is a correlation id: `event-sourcery trace --correlation`"
            .to_owned(),
    }
}

fn tell(seen: &Seen, out: &mut Output) -> Result<(), Failure> {
    out.heading(&safe(seen.name(), ""))?;
    let stream = seen.stream_id();
    let facts = [
        ("id", seen.uuid().to_string()),
        ("tenant", seen.tenant_id().as_str().to_owned()),
        ("category", stream.stored_category().to_owned()),
        ("stream", name_of(stream)),
        ("version", seen.version().map(|version| version.to_string()).unwrap_or_default()),
        ("position", seen.position().to_i64().to_string()),
        ("time", time(seen.created_at())),
        ("form", seen.schema_version().to_string()),
        ("tags", tags(seen)),
        ("unreadable", seen.unreadable().unwrap_or_default().to_owned()),
    ];
    for (what, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
        out.line(&format!("{what:<10}  {}", safe(fact, "")))?;
    }
    if let Err(problem) = seen.context() {
        out.line(&format!("context     {}", safe(&problem.in_full(), "")))?;
    }
    let has_keys = |context: &Value| context.as_object().is_none_or(|keys| !keys.is_empty());
    if let Some(context) = context(seen).filter(has_keys) {
        out.line(&format!("context     {}", indented(&context.to_string())))?;
    }
    out.line(&format!("data        {}", indented(seen.data())))
}

/// How deep lines are indented at most.
const DEEPEST: usize = 40;

/// JSON over several lines, in which every value is told as it stands there.
fn indented(text: &str) -> String {
    if serde_json::from_str::<&RawValue>(text).is_err() {
        // No line of it begins as one of ours.
        return safe(text, "\n").replace('\n', "\n  ");
    }
    let (mut shown, mut depth, mut in_string, mut is_escaped) = (String::new(), 0_usize, false, false);
    let new_line = |shown: &mut String, depth: usize| {
        shown.push('\n');
        shown.push_str(&"  ".repeat(depth.min(DEEPEST)));
    };
    for character in text.chars() {
        match character {
            _ if in_string => {
                shown.push(character);
                in_string = is_escaped || character != '"';
                is_escaped = !is_escaped && character == '\\';
            }
            '{' | '[' => {
                depth += 1;
                shown.push(character);
                new_line(&mut shown, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                let kept = shown.trim_end().len();
                if shown.trim_end().ends_with(['{', '[']) {
                    shown.truncate(kept);
                } else {
                    new_line(&mut shown, depth);
                }
                shown.push(character);
            }
            ',' => {
                shown.push(character);
                new_line(&mut shown, depth);
            }
            ':' => shown.push_str(": "),
            ' ' | '\t' | '\r' | '\n' => {}
            character => {
                in_string = character == '"';
                shown.push(character);
            }
        }
    }
    safe(&shown, "\n")
}

#[cfg(test)]
mod tests {
    use super::indented;

    #[test]
    fn json_is_indented_and_every_value_stays_as_it_is() {
        let told = indented(r#"{"b":1e400,"a":[{}, "x\"{,}: y\\"],"c":[ ]}"#);
        let expected =
            "{\n  \"b\": 1e400,\n  \"a\": [\n    {},\n    \"x\\\"{,}: y\\\\\"\n  ],\n  \"c\": []\n}";
        assert_eq!(told, expected);
        assert_eq!(indented("{no json: \u{1b}}\nid  7"), "{no json: \\u{1b}}\n  id  7");
    }
}
