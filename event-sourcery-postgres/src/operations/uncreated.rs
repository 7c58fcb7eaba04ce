//! Streams that nobody else has made, and that the server makes no rows for.

use event_sourcery::backend::AppendRequest;
use event_sourcery::{Error, Result};

use super::Operations;
use super::stream_keys::Keys;

impl Operations<'_> {
    /// The error for an append to streams that are not there and cannot be made, if there are such: somebody has added a unique index to
    /// the streams. Appends leave out what any index refuses. What ours refuse, somebody else has made by then.
    pub(super) async fn not_creatable(&mut self, request: &AppendRequest) -> Result<Option<Error>> {
        let missing = self.missing(request).await?;
        if !missing.contains(&true) {
            return Ok(None);
        }
        let Keys { uuids, categories, names } = Keys::of(request);
        let insert = self.sql.append.insert_streams.strict().query();
        let insert = insert.bind(those(uuids, &missing)).bind(those(categories, &missing));
        let insert = insert.bind(request.tenant.as_str()).bind(those(names, &missing));
        self.begin().await.map_err(|failure| self.failed(failure))?;
        let inserted = self.execute(insert).await.map(|_| None);
        let Err(failure) = self.end::<()>(inserted).await else { return Ok(None) };
        if failure.is_unique_violation(self.sql.tables()) && self.missing(request).await? != missing {
            return Ok(None);
        }
        Ok(Some(self.failed(failure)))
    }

    /// Which of the request's streams have no row, and no name that another one has.
    async fn missing(&mut self, request: &AppendRequest) -> Result<Vec<bool>> {
        let known = self.states(request, &[]).await.map_err(|failure| self.failed(failure))?;
        Ok(known.iter().map(|known| known.row.is_none() && known.holder.is_none()).collect())
    }
}

fn those<T>(all: Vec<T>, which: &[bool]) -> Vec<T> {
    all.into_iter().zip(which).filter_map(|(one, is_one)| is_one.then_some(one)).collect()
}
