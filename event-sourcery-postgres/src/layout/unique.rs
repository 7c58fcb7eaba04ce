//! What has to be unique: whether an index makes sure of it, and of nothing else. An insert of ours that meets a row in one of these
//! indexes takes that for the same stream, event, key or tag.

use event_sourcery::Result;

use super::schema::Schema;
use crate::at_work::answer;

/// What has to be unique, whoever made the tables: columns in the order of their names.
const UNIQUE: [(&str, &str); 22] = [
    ("events", "id"),
    ("events", "uuid"),
    ("events", "db_stream_id, version"),
    ("streams", "id"),
    ("streams", "category, tenant_id, uuid"),
    ("streams", "category, name, tenant_id"),
    ("outbox_entries", "id"),
    ("settled", "only_row"),
    ("evidence", "only_row"),
    ("subscriptions", "name, tenant_id"),
    ("subscription_segments", "name, segment, tenant_id"),
    ("subscription_members", "member, name, tenant_id"),
    ("subscription_presences", "presence"),
    ("blocked_entries", "position, stream_uuid"),
    ("projected_streams", "category, projector, stream_uuid, tenant_id"),
    ("event_blocks", "block, name"),
    ("event_blocks_listed", "only_row"),
    ("aggregate_snapshots", "db_stream_id, format, name"),
    ("outbox_of_deleted", "position"),
    ("subject_keys", "subject, tenant_id"),
    ("tags", "tenant_id, value"),
    ("event_tags", "position, tag_id"),
];

/// Of the tables $1, each with columns $2 that have to be unique (their names in the order of the alphabet, with commas between
/// them), the first in which no index makes sure of that: then only its number. Or in which one takes different values for the same,
/// also beside another that does not: the index, whether it does so with NULL (else with texts), and what takes it away. A constraint is
/// looked for by its table: by its index, the server would read them all.
const UNFIT: &str = "
    SELECT t.number, u.name, u.joins_nulls, u.removal
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS t (name, columns, number)
    LEFT JOIN LATERAL (
        SELECT i.indexrelid::regclass::text AS name,
               i.indnullsnotdistinct AND bool_or(NOT a.attnotnull) AS joins_nulls,
               coalesce(bool_or(NOT c.collisdeterministic), FALSE) AS joins_texts,
               string_agg(a.attname::text, ', ' ORDER BY a.attname::text) AS columns,
               coalesce((SELECT 'ALTER TABLE ' || t.name || ' DROP CONSTRAINT ' || quote_ident(s.conname::text) FROM pg_constraint s
                         WHERE s.conrelid = i.indrelid AND s.conindid = i.indexrelid AND s.contype IN ('p', 'u')),
                        'DROP INDEX ' || i.indexrelid::regclass::text) AS removal
        FROM pg_index i
        CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indcollation::oid[]) WITH ORDINALITY AS k (attnum, collated_by, place)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        LEFT JOIN pg_collation c ON c.oid = k.collated_by
        WHERE i.indrelid = to_regclass(t.name) AND i.indisunique AND i.indisvalid AND i.indimmediate
          AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
        GROUP BY i.indexrelid, i.indrelid, i.indnullsnotdistinct
    ) u ON u.columns = t.columns
    WHERE u.name IS NULL OR u.joins_nulls OR u.joins_texts
    ORDER BY t.number, u.name LIMIT 1";

/// What [`UNFIT`] tells.
type Unfit = (i64, Option<String>, Option<bool>, Option<String>);

/// What keeps a stream from being blocked twice for one subscription: an index cannot, whose entries are too short for the names. The
/// constraint counts if it looks at these columns in every row.
const EXCLUDES: &str = "
    SELECT EXISTS (
        SELECT FROM pg_constraint s JOIN pg_index i ON i.indexrelid = s.conindid
        WHERE s.conrelid = to_regclass($1) AND s.contype = 'x' AND NOT s.condeferrable
          AND i.indisvalid AND i.indpred IS NULL AND i.indnkeyatts = 1
          AND ARRAY['category', 'stream_uuid', 'subscription_name', 'subscription_tenant_id', 'tenant_id'] = ARRAY(
              SELECT DISTINCT a.attname::text FROM pg_depend d
              JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
              WHERE d.classid = 'pg_class'::regclass AND d.objid = s.conindid
                AND d.refclassid = 'pg_class'::regclass AND d.refobjid = s.conrelid AND d.refobjsubid > 0
              ORDER BY a.attname::text))";

impl Schema<'_> {
    /// Tables whose indexes were lost on the way, are invalid, or have others in their place: ids and versions could be given twice, or
    /// what is new be taken for what is there.
    pub(super) async fn refuse_duplicates(&mut self) -> Result<()> {
        let (names, columns): (Vec<_>, Vec<_>) =
            UNIQUE.iter().map(|(table, columns)| (self.tables.table(table), *columns)).unzip();
        let query = sqlx::query_as(UNFIT).persistent(false).bind(&names).bind(&columns);
        let unfit = answer(self.at_work.as_ref(), query.fetch_optional(&mut *self.connection)).await;
        let unfit: Option<Unfit> = unfit.map_err(|error| self.failed(error))?;
        if let Some((number, index, joins_nulls, removal)) = unfit {
            let place = usize::try_from(number - 1).unwrap_or(0);
            let (name, columns) = names
                .get(place)
                .zip(columns.get(place))
                .map_or(("", ""), |(name, columns)| (name.as_str(), *columns));
            let remedy = format!("CREATE UNIQUE INDEX ON {name} ({columns})");
            let Some((index, removal)) = index.zip(removal) else {
                return Err(self.foreign(format!(
                    "its table {name} has no valid unique index on ({columns}): make one, {remedy}"
                )));
            };
            let how = if joins_nulls == Some(true) {
                "NULL for the same as NULL"
            } else {
                "different texts for the same"
            };
            return Err(self.foreign(format!(
                "the unique index {index} of its table {name} on ({columns}) takes {how}, so that what is new is refused, or taken for \
                 what is there: have another in its place, {remedy}; {removal}"
            )));
        }
        let blocked = self.tables.table("blocked_streams");
        if !self.exists(EXCLUDES, &blocked).await? {
            return Err(self.foreign(format!(
                "its table {blocked} has lost the constraint by which a stream is blocked once for a subscription: ALTER TABLE {blocked} \
                 ADD EXCLUDE USING hash ((ARRAY[stream_uuid::text, category, tenant_id, subscription_tenant_id, subscription_name]) WITH =)"
            )));
        }
        Ok(())
    }
}
