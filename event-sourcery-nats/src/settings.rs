//! The settings of the two streams: what they are made with, and what would break a promise.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType};
use event_sourcery::{Error, Result};

/// The settings that a stream is made with, where there is none. What stands beside the events is replaced by what is newer.
pub(crate) fn wanted(name: String, subjects: Vec<String>, replicas: usize, is_side: bool) -> Config {
    Config {
        name,
        subjects,
        num_replicas: replicas,
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: if is_side { DiscardPolicy::Old } else { DiscardPolicy::New },
        max_messages_per_subject: if is_side { 1 } else { -1 },
        max_messages: -1,
        max_bytes: -1,
        max_message_size: -1,
        max_consumers: -1,
        allow_direct: true,
        allow_atomic_publish: true,
        description: Some("of event-sourcery-nats".to_owned()),
        ..Config::default()
    }
}

/// The first setting of a stream that breaks a promise, and why it does.
fn breaks(found: &Config, wanted: &Config) -> Option<(&'static str, &'static str)> {
    let loses_old = matches!(found.discard, DiscardPolicy::Old);
    let has_limit = |limit: i64| limit > 0;
    let has_sources = found.sources.as_ref().is_some_and(|all| !all.is_empty());
    let is_async = matches!(found.persist_mode, Some(PersistenceMode::Async));
    let checks = [
        ("storage", matches!(found.storage, StorageType::Memory), "it is kept in memory"),
        ("retention", !matches!(found.retention, RetentionPolicy::Limits), "what is read is removed"),
        ("discard", loses_old && has_limit(found.max_bytes), "what is old makes room: set `new`"),
        ("max_msgs", has_limit(found.max_messages), "there is a limit to the number of messages"),
        ("max_age", found.max_age > Duration::ZERO, "what is old is removed"),
        (
            "max_msgs_per_subject",
            found.max_messages_per_subject.max(0) != wanted.max_messages_per_subject.max(0),
            "there is another limit to the messages of a subject",
        ),
        ("discard_new_per_subject", found.discard_new_per_subject, "what is newer is refused"),
        ("no_ack", found.no_ack, "nothing is acknowledged"),
        ("sealed", found.sealed, "nothing can be written"),
        ("deny_purge", found.deny_purge, "nothing can be deleted"),
        ("mirror", found.mirror.is_some(), "it is a mirror: whoever writes, writes elsewhere"),
        ("sources", has_sources, "it has messages of other streams"),
        ("subject_transform", found.subject_transform.is_some(), "subjects are changed"),
        ("persist_mode", is_async, "it acknowledges before it writes"),
        ("allow_atomic", !found.allow_atomic_publish, "it takes no batches"),
        ("allow_direct", !found.allow_direct, "it answers no direct gets"),
        ("allow_msg_ttl", found.allow_message_ttl, "a message may be removed when its time is up"),
        ("allow_msg_counter", found.allow_message_counter, "it takes nothing but counters"),
        ("subjects", found.subjects != wanted.subjects, "it takes other subjects"),
        ("num_replicas", found.num_replicas < wanted.num_replicas, "it has fewer replicas than wanted"),
    ];
    checks.into_iter().find(|(_, is_broken, _)| *is_broken).map(|(name, _, why)| (name, why))
}

/// Refuses a stream with a setting that breaks a promise.
pub(crate) fn check(found: &Config, wanted: &Config) -> Result<()> {
    match breaks(found, wanted) {
        None => Ok(()),
        Some((option, why)) => {
            let problem = format!(
                "the JetStream stream {} has a setting that breaks a promise: {why}. Change it (`nats stream edit`), or \
                 name another store",
                found.name
            );
            Err(Error::InvalidOption { option, problem })
        }
    }
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream::{Source, SubjectTransform};

    use super::*;

    fn shop() -> Config {
        wanted("SHOP".to_owned(), vec!["SHOP.e.*.*.*".to_owned()], 3, false)
    }

    #[test]
    fn a_stream_as_we_make_it_is_not_refused_nor_one_with_more_replicas_or_a_limit_that_refuses() {
        check(&shop(), &shop()).unwrap();
        let other = Config { num_replicas: 5, max_bytes: 1 << 30, ..shop() };
        check(&other, &shop()).unwrap();
        let side = wanted("SHOP-side".to_owned(), vec!["SHOP.k.>".to_owned()], 1, true);
        check(&side, &side).unwrap();
    }

    #[test]
    fn each_setting_that_breaks_a_promise_is_refused_by_its_name() {
        let transform = SubjectTransform { source: ">".to_owned(), destination: "x.>".to_owned() };
        let cases = [
            ("storage", Config { storage: StorageType::Memory, ..shop() }),
            ("retention", Config { retention: RetentionPolicy::WorkQueue, ..shop() }),
            ("retention", Config { retention: RetentionPolicy::Interest, ..shop() }),
            ("discard", Config { discard: DiscardPolicy::Old, max_bytes: 1, ..shop() }),
            ("max_msgs", Config { max_messages: 1, ..shop() }),
            ("max_age", Config { max_age: Duration::from_secs(1), ..shop() }),
            ("max_msgs_per_subject", Config { max_messages_per_subject: 1, ..shop() }),
            ("discard_new_per_subject", Config { discard_new_per_subject: true, ..shop() }),
            ("no_ack", Config { no_ack: true, ..shop() }),
            ("sealed", Config { sealed: true, ..shop() }),
            ("deny_purge", Config { deny_purge: true, ..shop() }),
            ("mirror", Config { mirror: Some(Source::default()), ..shop() }),
            ("sources", Config { sources: Some(vec![Source::default()]), ..shop() }),
            ("subject_transform", Config { subject_transform: Some(transform), ..shop() }),
            ("persist_mode", Config { persist_mode: Some(PersistenceMode::Async), ..shop() }),
            ("allow_atomic", Config { allow_atomic_publish: false, ..shop() }),
            ("allow_direct", Config { allow_direct: false, ..shop() }),
            ("allow_msg_ttl", Config { allow_message_ttl: true, ..shop() }),
            ("allow_msg_counter", Config { allow_message_counter: true, ..shop() }),
            ("subjects", Config { subjects: vec!["SHOP.>".to_owned()], ..shop() }),
            ("num_replicas", Config { num_replicas: 1, ..shop() }),
        ];
        for (name, found) in cases {
            let refused = check(&found, &shop()).unwrap_err();
            let is_named = matches!(refused, Error::InvalidOption { option, .. } if option == name);
            assert!(is_named, "{name}: {refused}");
        }
    }
}
