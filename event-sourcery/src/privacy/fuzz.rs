//! Whatever stands where something encrypted may stand, it is that or it is not.

use event_sourcery_conformance::fuzz::{Random, rounds};

use super::{envelope, pointers};

/// A context that begins like one that holds something encrypted; damaged, or not.
fn context(random: &mut Random) -> String {
    let (subject, at) = (random.text(), random.text());
    let key = random.uuid();
    let field = match random.below(3) {
        0 => random.text(),
        1 => envelope::written("1", key, random.text().as_bytes()),
        _ => format!("1.{}.{}", random.text(), random.text()),
    };
    let fields = serde_json::json!({ "": { (subject): { (format!("/{at}")): field } } }).to_string();
    let context = match random.below(4) {
        0 => fields.replacen(":", ": ", 1),
        1 => format!("{},\"components\":{}}}", fields.strip_suffix('}').unwrap_or_default(), random.json(2)),
        2 => format!("{{\"\":{}}}", random.json(3)),
        _ => fields,
    };
    if random.once_in(3) { random.damaged(&context) } else { context }
}

#[test]
fn envelopes_of_any_text() {
    rounds(|random| {
        let context = context(random);
        let is_sealed = envelope::is_sealed(&context);
        let Some((found, rest)) = envelope::take_from(&context) else { return };
        assert!(is_sealed, "what can be opened is sealed: {context}");
        let envelope = found.iter().map(|(subject, fields)| {
            (subject.as_str(), fields.iter().map(|(at, text)| (at.as_str(), text.clone())).collect())
        });
        let again = envelope::put_into(&rest, &envelope.collect()).expect("it is written");
        let (read, _) = envelope::take_from(&again).expect("what was written is read");
        assert_eq!(read, found, "{context}");
        let data = random.object(4, 3);
        for (at, text) in found.values().flatten() {
            let _ = envelope::read(text);
            if let Ok((replaced, before)) = pointers::replace(&data, &[(at.as_str(), "\"mask\"")]) {
                let back =
                    pointers::replace(&replaced, &[(at.as_str(), &*before[0])]).expect("it stands there");
                assert_eq!(back, (data.clone(), vec!["\"mask\"".to_owned()]), "{at}");
            }
        }
    });
}

#[test]
fn places_in_any_json() {
    rounds(|random| {
        let fields = random.below(5);
        let (data, mut pointer) = (random.object(fields, 4), String::new());
        for _ in 0..random.below(4) {
            let step = match random.below(3) {
                0 => random.below(4).to_string(),
                1 => (*random.one_of(&["number", "list", "kind", "more", "Card"])).to_owned(),
                _ => random.text(),
            };
            pointers::push(&mut pointer, &step);
        }
        let data = if random.once_in(3) { random.damaged(&data) } else { data };
        let others = ["/number", "/list/0", ""];
        let places = [(pointer.as_str(), "1"), (*random.one_of(&[&others[0], &others[1], &others[2]]), "2")];
        let _ = pointers::replace(&data, &places);
        let _ = pointers::replace(&data, &places[..1]);
    });
}
