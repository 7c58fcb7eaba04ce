//! Subjects, and the tokens that they are made of. `LAYOUT.md` has the table.

use std::fmt::Write as _;

use event_sourcery::backend::{Filter, SubscriptionId};
use event_sourcery::{Category, StreamId, TenantId};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// How long a token may be that says what it stands for.
const LONGEST: usize = 96;

/// The subjects of a store.
#[derive(Debug, Clone)]
pub(crate) struct Subjects {
    prefix: String,
}

impl Subjects {
    /// Of the store of this name, which is a token.
    pub(crate) fn of(store: &str) -> Self {
        Self { prefix: store.to_owned() }
    }

    /// What the stream of events takes.
    pub(crate) fn of_events(&self) -> Vec<String> {
        vec![format!("{}.e.*.*.*", self.prefix), self.guards()]
    }

    /// What the side stream takes.
    pub(crate) fn of_the_side(&self) -> Vec<String> {
        vec![format!("{}.k.>", self.prefix)]
    }

    /// A message of a batch that only expects something of another subject: each of a batch has its own.
    pub(crate) fn guard(&self, number: usize) -> String {
        format!("{}.g.{number}", self.prefix)
    }

    pub(crate) fn guards(&self) -> String {
        format!("{}.g.*", self.prefix)
    }

    /// Where those who wait are woken.
    pub(crate) fn wake(&self) -> String {
        format!("{}.w", self.prefix)
    }

    /// A stream.
    pub(crate) fn stream(&self, place: &str) -> String {
        format!("{}.e.{place}", self.prefix)
    }

    /// The place of a stream, from its subject.
    pub(crate) fn place_in<'s>(&self, subject: &'s str) -> &'s str {
        subject.splitn(3, '.').nth(2).unwrap_or_default()
    }

    /// Whose stream a subject is, as far as its tokens tell: of which stream, tenant and category. A name that was hashed is told by a filter
    /// that asks for it.
    pub(crate) fn whose(
        &self,
        subject: &str,
        filter: &Filter,
    ) -> Option<(Uuid, Option<String>, Option<String>)> {
        let mut tokens = self.place_in(subject).split('.');
        let (tenant, category, uuid) = (tokens.next()?, tokens.next()?, tokens.next()?);
        let asked = |one: Option<&str>, of: &str| one.filter(|one| token(one) == of).map(str::to_owned);
        let tenant = name_of(tenant).or_else(|| asked(filter.tenant.as_ref().map(TenantId::as_str), tenant));
        let asked_category = filter.category.as_ref().map(Category::as_str);
        let category = name_of(category).or_else(|| asked(asked_category, category));
        Some((Uuid::try_parse(uuid).ok()?, tenant, category))
    }

    /// The streams of which a filter may want something.
    pub(crate) fn streams(&self, filter: &Filter) -> String {
        let tenant = filter.tenant.as_ref().map_or_else(|| "*".to_owned(), |one| token(one.as_str()));
        let category = filter.category.as_ref().map_or_else(|| "*".to_owned(), |one| token(one.as_str()));
        format!("{}.e.{tenant}.{category}.*", self.prefix)
    }

    pub(crate) fn snapshot(&self, place: &str, version: u64, id: Uuid) -> String {
        format!("{}.k.snapshot.{place}.{version}.{}", self.prefix, id.simple())
    }

    /// The snapshot of this id, wherever it is.
    pub(crate) fn snapshot_of_id(&self, id: Uuid) -> String {
        format!("{}.k.snapshot.*.*.*.*.{}", self.prefix, id.simple())
    }

    pub(crate) fn snapshots(&self, place: &str) -> String {
        format!("{}.k.snapshot.{place}.>", self.prefix)
    }

    pub(crate) fn state(&self, place: &str, name: &str, format: u16) -> String {
        format!("{}.k.state.{place}.{}.{format}", self.prefix, token(name))
    }

    pub(crate) fn states(&self, place: &str) -> String {
        format!("{}.k.state.{place}.>", self.prefix)
    }

    pub(crate) fn subscription(&self, id: &SubscriptionId) -> String {
        format!("{}.k.subscription.{}", self.prefix, whose(id))
    }

    /// A stream that is blocked in a subscription.
    pub(crate) fn row(&self, id: &SubscriptionId, place: &str) -> String {
        format!("{}.k.row.{}.{place}", self.prefix, whose(id))
    }

    pub(crate) fn rows(&self, id: &SubscriptionId) -> String {
        format!("{}.k.row.{}.>", self.prefix, whose(id))
    }

    /// A stream wherever it is blocked.
    pub(crate) fn rows_of(&self, place: &str) -> String {
        format!("{}.k.row.*.*.{place}", self.prefix)
    }
}

/// Which stream of which tenant: three tokens.
pub(crate) fn place(tenant: &TenantId, stream: &StreamId) -> String {
    format!("{}.{}.{}", token(tenant.as_str()), token(stream.stored_category()), stream.uuid().simple())
}

fn whose(id: &SubscriptionId) -> String {
    format!("{}.{}", token(id.tenant.as_str()), token(&id.name))
}

/// A name as a token. Two names have two tokens, and no token has a character that means something to NATS.
fn token(name: &str) -> String {
    match name {
        "" => return "-".to_owned(),
        "-" => return "%2D".to_owned(),
        _ => {}
    }
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            token.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(token, "%{byte:02X}");
        }
    }
    if token.len() <= LONGEST { token } else { hashed(name) }
}

/// The name that a token stands for, if it tells.
fn name_of(token: &str) -> Option<String> {
    if token == "-" {
        return Some(String::new());
    }
    let (mut bytes, mut name) = (token.bytes(), Vec::with_capacity(token.len()));
    while let Some(byte) = bytes.next() {
        match byte {
            b'~' => return None,
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                name.push(u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            byte => name.push(byte),
        }
    }
    String::from_utf8(name).ok()
}

fn hashed(name: &str) -> String {
    let mut token = "~".to_owned();
    for byte in Sha256::digest(name.as_bytes()).iter() {
        let _ = write!(token, "{byte:02x}");
    }
    token
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_tokens_whatever_they_hold() {
        for (name, expected) in [
            ("invoices", "invoices"),
            ("", "-"),
            ("-", "%2D"),
            ("a-b", "a-b"),
            ("a.*.>", "a%2E%2A%2E%3E"),
            (" \r\n", "%20%0D%0A"),
            ("$JS", "%24JS"),
            ("%2D", "%252D"),
            ("~", "%7E"),
            ("ß", "%C3%9F"),
        ] {
            assert_eq!(token(name), expected, "{name:?}");
            assert_eq!(name_of(expected).as_deref(), Some(name));
        }
    }

    #[test]
    fn long_names_are_told_apart_and_three_of_them_fit_into_a_line() {
        let names: Vec<_> = (0..50).map(|number| format!("{}{number}", "🧾".repeat(210))).collect();
        let tokens: HashSet<_> = names.iter().map(|name| token(name)).collect();
        assert_eq!(tokens.len(), names.len());
        let (tenant, name) = (TenantId::new(&names[0]).unwrap(), names[1].as_str());
        let stream = StreamId::from_name("1").unwrap().in_category(&names[2]).unwrap();
        let id = SubscriptionId::new(tenant.clone(), name);
        let subject = Subjects::of("SHOP").row(&id, &place(&tenant, &stream));
        assert!(subject.len() < 512 && subject.split('.').count() == 8, "{subject}");
    }

    #[test]
    fn a_filter_reads_no_more_than_its_tenant_and_category() {
        let subjects = Subjects::of("SHOP");
        assert_eq!(subjects.streams(&Filter::new()), "SHOP.e.*.*.*");
        let filter = Filter::new().with_tenant(TenantId::new("*").unwrap());
        assert_eq!(subjects.streams(&filter), "SHOP.e.%2A.*.*");
        assert_eq!(subjects.streams(&Filter::new().with_tenant(TenantId::DEFAULT)), "SHOP.e.-.*.*");
    }

    #[test]
    fn a_subject_tells_whose_stream_it_is_and_a_filter_whose_name_was_hashed() {
        let (subjects, long) = (Subjects::of("SHOP"), TenantId::new("t".repeat(97)).unwrap());
        let stream = StreamId::from_name("1").unwrap().in_category("a.b").unwrap();
        let all = Filter::new();
        let short = subjects.stream(&place(&TenantId::DEFAULT, &stream));
        let told = (stream.uuid(), Some(String::new()), Some("a.b".to_owned()));
        assert_eq!(subjects.whose(&short, &all), Some(told));
        let hashed = subjects.stream(&place(&long, &stream));
        assert_eq!(subjects.whose(&hashed, &all).unwrap().1, None);
        let asked = Filter::new().with_tenant(long.clone());
        assert_eq!(subjects.whose(&hashed, &asked).unwrap().1.as_deref(), Some(long.as_str()));
        let another = Filter::new().with_tenant(TenantId::new("u".repeat(97)).unwrap());
        assert_eq!(subjects.whose(&hashed, &another).unwrap().1, None);
        for none in ["", "SHOP.e", "SHOP.e.-.-", "SHOP.e.-.-.no-uuid", "SHOP.g.1"] {
            assert_eq!(subjects.whose(none, &all), None, "{none}");
        }
        for none in ["~00", "%", "%2", "%zz", "%FF"] {
            assert_eq!(name_of(none), None, "{none}");
        }
    }
}
