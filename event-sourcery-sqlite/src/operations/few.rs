//! The events of streams that have few: found by their streams. Of streams that have many, every event is looked at.

use event_sourcery::{Category, Result, TenantId};
use rusqlite::Params;

use super::Operations;

/// How many events are few, together with the streams that have none: as many as are found in less time than it takes to look at one
/// event after the other for a page.
pub(super) const FEW: usize = 16_384;

/// How many categories are gone through for one tenant.
const CATEGORIES: usize = 256;

impl<'c> Operations<'c> {
    /// Where the events of a tenant's streams, of a category's, or of both stand, in their order; `None` where there are more.
    pub(super) fn few(
        &self,
        tenant: Option<&TenantId>,
        category: Option<&Category>,
        most: usize,
    ) -> Result<Option<Vec<i64>>> {
        let mut few = Vec::new();
        let one_more = |few: &[Option<i64>]| most + 1 - few.len();
        match (tenant.map(TenantId::as_str), category.map(Category::as_str)) {
            (None, None) => return Ok(None),
            (None, Some(category)) => {
                let values = (category, one_more(&few));
                self.add_few(&self.sql.few_of_category, values, &mut few)?;
            }
            (Some(tenant), Some(category)) => {
                let values = (category, tenant, one_more(&few));
                self.add_few(&self.sql.few_of_both, values, &mut few)?;
            }
            (Some(tenant), None) => {
                let Some(categories) = self.categories()? else { return Ok(None) };
                for category in categories {
                    if few.len() > most {
                        break;
                    }
                    let values = (&*category, tenant, one_more(&few));
                    self.add_few(&self.sql.few_of_both, values, &mut few)?;
                }
            }
        }
        if few.len() > most {
            return Ok(None);
        }
        let mut positions: Vec<_> = few.into_iter().flatten().collect();
        positions.sort_unstable();
        Ok(Some(positions))
    }

    fn add_few(&self, sql: &'c str, values: impl Params, few: &mut Vec<Option<i64>>) -> Result<()> {
        let positions: Vec<Option<i64>> =
            self.all_rows(sql, values, |row| row.get(0).map_err(|error| error.to_string()))?;
        few.extend(positions);
        Ok(())
    }

    /// The categories of all streams; `None` where they are many, or where one cannot be told from others.
    fn categories(&self) -> Result<Option<Vec<String>>> {
        let categories = self.all_rows(&self.sql.categories, [CATEGORIES + 1], |row| {
            Ok(row.get_ref(0).ok().and_then(|name| name.as_str().ok()).map(str::to_owned))
        })?;
        let categories: Option<Vec<_>> = categories.into_iter().collect();
        Ok(categories.filter(|categories| categories.len() <= CATEGORIES))
    }
}
