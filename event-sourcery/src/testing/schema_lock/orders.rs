//! Samples with more keys, for what keeps them in order.

use serde_json::Value;

/// In JSONB the second one comes first.
const KEYS: [&str; 2] = ["aa", "b"];

/// A sample, once for each of its objects that holds something: there with two keys more.
pub(super) fn with_more_keys(json: &str) -> Vec<String> {
    let Ok(sample) = serde_json::from_str::<Value>(json) else { return Vec::new() };
    let mut enlarged = Vec::new();
    let mut ways = vec![String::new()];
    while let Some(way) = ways.pop() {
        match sample.pointer(&way) {
            Some(Value::Object(entries)) => {
                let steps = entries.keys().map(|key| key.replace('~', "~0").replace('/', "~1"));
                ways.extend(steps.map(|step| format!("{way}/{step}")));
                enlarged.extend(enlarged_at(&sample, &way));
            }
            Some(Value::Array(items)) => ways.extend((0..items.len()).map(|item| format!("{way}/{item}"))),
            _ => {}
        }
    }
    enlarged
}

fn enlarged_at(sample: &Value, way: &str) -> Option<String> {
    let mut enlarged = sample.clone();
    let object = enlarged.pointer_mut(way)?.as_object_mut()?;
    let value = object.values().next()?.clone();
    for key in KEYS {
        object.insert(key.to_owned(), value.clone());
    }
    Some(enlarged.to_string())
}
