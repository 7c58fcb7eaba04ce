//! What a sample looks like, whatever its values.

use std::collections::BTreeSet;

use serde_json::Value;

use super::trace::quoted;

/// The keys of a JSON text and the kinds of its values, as a text.
pub(super) fn outline(json: &str) -> String {
    serde_json::from_str(json).map_or_else(|_| "no JSON".to_owned(), |value| of(&value))
}

fn of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "text".to_owned(),
        Value::Array(items) => format!("[{}]", joined(items.iter().map(of))),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{}:{}", quoted(name), of(value));
            format!("{{{}}}", joined(fields.iter().map(field)))
        }
    }
}

/// Each once, whatever their order: that of a set is another each time.
fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::outline;

    #[test]
    fn keys_and_kinds_count_and_values_and_order_do_not() {
        let known = outline(r#"{"a":[1,"x",2.5],"b":{"c":null,"d":true}}"#);
        assert_eq!(known, r#"{"a":[number,text],"b":{"c":null,"d":bool}}"#);
        assert_eq!(
            outline(r#"{"b":{"d":false,"c":null},"a":["y",340282366920938463463374607431768211455]}"#),
            known
        );
        for other in [
            r#"{"a":[1,"x"]}"#,
            r#"{"a":[1],"b":{"c":null,"d":true}}"#,
            r#"{"a":[1,"x"],"b":{"c":0,"d":true}}"#,
        ] {
            assert_ne!(outline(other), known, "{other}");
        }
    }
}
