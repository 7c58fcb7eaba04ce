//! What JSONB cannot hold: which event it is, and why.

use event_sourcery::backend::NewRecord;
use event_sourcery::{Error, PayloadError};

use super::Operations;
use crate::values::Jsonb;

impl Operations<'_> {
    /// The error for the first of these records that JSONB cannot hold, found by halves.
    pub(super) async fn not_storable(&mut self, records: &[&NewRecord]) -> Option<Error> {
        let mut suspects = records;
        let mut problem = self.jsonb_refuses(suspects).await?;
        while suspects.len() > 1 {
            let (left, right) = suspects.split_at(suspects.len() / 2);
            suspects = match self.jsonb_refuses(left).await {
                Some(refused) => {
                    problem = refused;
                    left
                }
                None => right,
            };
        }
        let [record] = suspects else { return None };
        let problem = PayloadError::NotStorable { problem };
        Some(Error::InvalidPayload { name: record.name.to_string(), problem })
    }

    /// What the database says to these payloads and contexts.
    async fn jsonb_refuses(&mut self, records: &[&NewRecord]) -> Option<String> {
        let values: Vec<_> =
            records.iter().flat_map(|record| [Jsonb(&record.data), Jsonb(&record.context)]).collect();
        self.begin().await.ok()?;
        let query = sqlx::query("SELECT cardinality($1::jsonb[])").persistent(false).bind(values.as_slice());
        let accepted = self.execute(query).await.map(Some);
        self.end(accepted).await.err().map(|failure| failure.message())
    }
}
