//! The statements about the keys of data subjects. ?1 and ?2 are tenant and subject, where nothing else is said.

use crate::sql::statements;

statements! {
    /// What is run on keys; `operations::keys` has the argument for it.
    KeySql;

    /// Its id, what it is wrapped with, its bytes, whether it was shredded.
    key: "
        SELECT k.key_id, k.wrapped_by, b.wrapped, k.shredded_at IS NOT NULL
        FROM {subject_keys} k LEFT JOIN {subject_key_bytes} b ON b.id = k.bytes
        WHERE k.tenant_id = ?1 AND k.subject = ?2";
    /// Those that are wrapped by something else than ?1, behind a tenant (?2) and a subject (?3), at most ?4: the same, and whose they
    /// are.
    old_keys: "
        SELECT k.key_id, k.wrapped_by, b.wrapped, k.shredded_at IS NOT NULL, k.tenant_id, k.subject
        FROM {subject_keys} k LEFT JOIN {subject_key_bytes} b ON b.id = k.bytes
        WHERE (k.tenant_id, k.subject) > (?2, ?3) AND k.shredded_at IS NULL AND k.wrapped_by <> ?1
        ORDER BY k.tenant_id, k.subject LIMIT ?4";
    insert_bytes: "
        INSERT INTO {subject_key_bytes} (wrapped) VALUES (?1)";
    insert_key: "
        INSERT INTO {subject_keys} (tenant_id, subject, key_id, wrapped_by, bytes, created_at, shredded_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    /// In their place: the record stays as long as it is.
    clear_bytes: "
        UPDATE {subject_key_bytes} SET wrapped = zeroblob(length(wrapped))
        WHERE id = (SELECT bytes FROM {subject_keys} WHERE tenant_id = ?1 AND subject = ?2 AND shredded_at IS NULL)";
    /// Puts others (?3) in their place, if they are as long.
    replace_bytes: "
        UPDATE {subject_key_bytes} SET wrapped = ?3
        WHERE id = (SELECT bytes FROM {subject_keys} WHERE tenant_id = ?1 AND subject = ?2)
          AND length(wrapped) = length(?3)";
    move_bytes: "
        UPDATE {subject_keys} SET bytes = ?3 WHERE tenant_id = ?1 AND subject = ?2";
    wrapped_by: "
        UPDATE {subject_keys} SET wrapped_by = ?3 WHERE tenant_id = ?1 AND subject = ?2";
    /// At ?4. Who has no key is given the id ?3 for one that nobody ever had.
    shred: "
        INSERT INTO {subject_keys} (tenant_id, subject, key_id, created_at, shredded_at) VALUES (?1, ?2, ?3, ?4, ?4)
        ON CONFLICT (tenant_id, subject) DO UPDATE SET wrapped_by = NULL, shredded_at = excluded.shredded_at
        WHERE shredded_at IS NULL";
    /// Shredded keys, by where their bytes were, of which there may be copies in the log; at most ?1.
    traces: "
        SELECT bytes FROM {subject_keys}
        WHERE shredded_at IS NOT NULL AND bytes IS NOT NULL AND typeof(bytes) = 'integer' LIMIT ?1";
    forget_trace: "
        UPDATE {subject_keys} SET bytes = NULL WHERE shredded_at IS NOT NULL AND bytes IS NOT NULL AND bytes = ?1";
}
