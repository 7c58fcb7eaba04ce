//! The statements about the keys of data subjects. $1 is the tenant, $2 are subjects, where nothing else is said.

use crate::sql::{Statement, any, statements, unnest};
use crate::tables::Tables;

/// What is read of a key: its subject, its id, what it is wrapped with, its bytes, whether it was shredded.
macro_rules! key {
    () => {
        "k.subject, k.key_id, k.wrapped_by, k.wrapped, k.shredded_at IS NOT NULL"
    };
}

/// The keys of subjects.
macro_rules! keys {
    () => {
        concat!(
            "SELECT ",
            key!(),
            " FROM {subject_keys} k WHERE k.tenant_id = $1 AND k.subject = ",
            any!("$2", "text[]")
        )
    };
}

statements! {
    /// The statements about keys.
    KeySql;
    keys: keys!();
    /// Keys for those who have none, with their ids ($3), what they are wrapped with ($4), and their bytes ($5), in one order for all:
    /// what was stored, and what was there already. Waits for another transaction that stores one for the same subject; what
    /// that has stored is in neither.
    create: concat!("
        WITH k AS (
            INSERT INTO {subject_keys} (tenant_id, subject, key_id, wrapped_by, wrapped, created_at, shredded_at)
            SELECT $1, n.subject, n.key_id, n.wrapped_by, n.wrapped, t.now, CASE WHEN n.wrapped IS NULL THEN t.now END
            FROM ", unnest!("$2::text[]", "$3::uuid[]", "$4::text[]", "$5::bytea[]"), " AS n (subject, key_id, wrapped_by, wrapped)
            CROSS JOIN (SELECT clock_timestamp() AT TIME ZONE 'UTC') AS t (now)
            ORDER BY n.subject COLLATE \"C\"
            ON CONFLICT (tenant_id, subject) DO NOTHING
            RETURNING subject, key_id, wrapped_by, wrapped, shredded_at
        )
        SELECT ", key!(), " FROM k
        UNION ALL ", keys!());
    /// A page of those that are wrapped by something else than $1, behind a tenant ($2) and a subject ($3), at most $4; and whose they
    /// are.
    old_keys: concat!("
        SELECT ", key!(), ", k.tenant_id FROM {subject_keys} k
        WHERE (k.tenant_id, k.subject) > ($2::text, $3::text) AND k.shredded_at IS NULL AND k.wrapped_by <> $1
        ORDER BY k.tenant_id, k.subject LIMIT $4");
    /// Wraps the key of the subject $2 by $6, as $7, if it is that of the id $3, wrapped by $4 as $5.
    rewrap: "
        UPDATE {subject_keys} SET wrapped_by = $6, wrapped = $7
        WHERE tenant_id = $1 AND subject = $2 AND key_id = $3 AND wrapped_by = $4 AND wrapped = $5";
    /// Keys that are not to be shredded before the transaction has ended, in one order for all. In a snapshot from before it was, it is
    /// an error.
    hold: concat!(keys!(), " ORDER BY k.subject FOR SHARE");
    /// Keys that are shredded, or that whoever shreds others depends on.
    hold_to_shred: concat!(keys!(), " ORDER BY k.subject FOR UPDATE");
    /// Marks those as shredded, with the id $3, who have no key. Waits for another transaction that stores one.
    mark_missing: concat!("
        INSERT INTO {subject_keys} (tenant_id, subject, key_id, created_at, shredded_at)
        SELECT $1, n.subject, $3, t.now, t.now
        FROM ", unnest!("$2::text[]"), " AS n (subject)
        CROSS JOIN (SELECT clock_timestamp() AT TIME ZONE 'UTC') AS t (now)
        ORDER BY n.subject COLLATE \"C\"
        ON CONFLICT (tenant_id, subject) DO NOTHING");
    /// Whoever has done so by hand may have left the bytes.
    shred: concat!("
        UPDATE {subject_keys}
        SET wrapped_by = NULL, wrapped = NULL, shredded_at = coalesce(shredded_at, clock_timestamp() AT TIME ZONE 'UTC')
        WHERE tenant_id = $1 AND subject = ", any!("$2", "text[]"), " AND (shredded_at IS NULL OR wrapped IS NOT NULL)");
}
