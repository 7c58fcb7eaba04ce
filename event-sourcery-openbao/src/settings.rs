//! The settings of a transit key.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What OpenBao tells of a transit key.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Settings {
    #[serde(rename = "type")]
    kind: String,
    derived: bool,
    deletion_allowed: bool,
    exportable: bool,
    allow_plaintext_backup: bool,
    /// Not known to every version, like the next.
    #[serde(default)]
    imported_key: bool,
    #[serde(default)]
    soft_deleted: bool,
    /// Its versions that can decrypt, and when each was made.
    #[serde(default)]
    keys: BTreeMap<String, Value>,
}

impl Settings {
    /// Why data keys are not trusted to it.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        if !matches!(self.kind.as_str(), "aes256-gcm96" | "chacha20-poly1305" | "xchacha20-poly1305") {
            return Some(
                "it does not encrypt with 256 bits and associated data: make one of the type aes256-gcm96",
            );
        }
        if self.derived {
            return Some("it is derived, and would need a context for each call: make one that is not");
        }
        if self.exportable || self.allow_plaintext_backup {
            return Some(
                "it may be exported, or backed up in the clear, which cannot be taken back: whoever has done so can read what was \
                 shredded, in every copy of the store. Make one without `exportable` and `allow_plaintext_backup`",
            );
        }
        if self.imported_key {
            return Some(
                "it was imported, and whoever keeps what it was imported from can read what was shredded, in every copy of the store: \
                 let OpenBao make one",
            );
        }
        if self.soft_deleted {
            return Some("it is marked as deleted, and can be restored: restore it, or name another one");
        }
        if self.deletion_allowed {
            return Some(
                "it may be deleted, and with it everything that is encrypted for anybody: set `deletion_allowed` to false, and to true \
                 only when another key has taken its place",
            );
        }
        None
    }

    /// Whether this, which is younger, is of another key by the same name: a version of both was made at another time. Where they
    /// share none, it cannot be told.
    pub(crate) fn replaces(&self, before: &Self) -> bool {
        before.keys.iter().any(|(version, made)| self.keys.get(version).is_some_and(|now| now != made))
    }

    pub(crate) fn is_soft_deleted(&self) -> bool {
        self.soft_deleted
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(change: &str, to: &Value) -> Settings {
        let mut told = json!({
            "type": "aes256-gcm96", "derived": false, "deletion_allowed": false, "exportable": false,
            "allow_plaintext_backup": false, "imported_key": false, "soft_deleted": false, "keys": {"1": 17, "2": 18},
        });
        told[change] = to.clone();
        serde_json::from_value(told).unwrap()
    }

    #[test]
    fn each_setting_by_which_something_could_come_back_or_be_lost_is_refused() {
        assert_eq!(settings("type", &json!("xchacha20-poly1305")).refusal(), None);
        for kind in ["aes128-gcm96", "rsa-4096", "ed25519", "hmac"] {
            assert!(settings("type", &json!(kind)).refusal().is_some(), "{kind}");
        }
        for setting in [
            "derived",
            "deletion_allowed",
            "exportable",
            "allow_plaintext_backup",
            "imported_key",
            "soft_deleted",
        ] {
            assert!(settings(setting, &json!(true)).refusal().is_some(), "{setting}");
        }
    }

    #[test]
    fn a_setting_that_is_not_told_is_not_taken_for_false() {
        for setting in ["derived", "deletion_allowed", "exportable", "allow_plaintext_backup"] {
            let mut told = json!({
                "type": "aes256-gcm96", "derived": false, "deletion_allowed": false, "exportable": false,
                "allow_plaintext_backup": false,
            });
            assert!(serde_json::from_value::<Settings>(told.clone()).is_ok());
            told.as_object_mut().unwrap().remove(setting);
            assert!(serde_json::from_value::<Settings>(told).is_err(), "{setting}");
        }
    }

    #[test]
    fn another_key_by_the_same_name_is_found_by_when_it_was_made() {
        let before = settings("keys", &json!({"1": 17, "2": 18}));
        assert!(!settings("keys", &json!({"1": 17, "2": 18, "3": 19})).replaces(&before), "rotated");
        assert!(!settings("keys", &json!({"2": 18})).replaces(&before), "trimmed");
        assert!(settings("keys", &json!({"1": 20})).replaces(&before));
    }
}
