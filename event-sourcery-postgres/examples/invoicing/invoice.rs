//! The service's own table.

use serde::Serialize;
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::{FromRow, Row as _};

use crate::error::ApiError;

pub(crate) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS invoices (
        number TEXT PRIMARY KEY,
        customer TEXT NOT NULL,
        total_cents BIGINT NOT NULL,
        paid_cents BIGINT NOT NULL,
        status TEXT NOT NULL
    )";

#[derive(Serialize, Debug)]
pub(crate) struct Invoice {
    pub(crate) number: String,
    pub(crate) customer: String,
    pub(crate) total_cents: i64,
    pub(crate) paid_cents: i64,
    pub(crate) status: String,
}

impl FromRow<'_, PgRow> for Invoice {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            number: row.try_get("number")?,
            customer: row.try_get("customer")?,
            total_cents: row.try_get("total_cents")?,
            paid_cents: row.try_get("paid_cents")?,
            status: row.try_get("status")?,
        })
    }
}

impl Invoice {
    pub(crate) fn issued(number: String, customer: String, total_cents: i64) -> Self {
        Self { number, customer, total_cents, paid_cents: 0, status: "issued".to_owned() }
    }

    /// The invoice with a payment, unless that is more than what is open.
    pub(crate) fn paid(self, amount_cents: i64) -> Result<Self, ApiError> {
        let open = self.total_cents - self.paid_cents;
        if amount_cents > open {
            return Err(ApiError::Invalid(format!(
                "amount_cents: {amount_cents} is more than the {open} open"
            )));
        }
        let status = if amount_cents == open { "paid" } else { "partly paid" };
        Ok(Self { paid_cents: self.paid_cents + amount_cents, status: status.to_owned(), ..self })
    }

    pub(crate) async fn find(pool: &PgPool, number: &str) -> Result<Self, ApiError> {
        let query = sqlx::query_as("SELECT * FROM invoices WHERE number = $1").bind(number);
        query.fetch_optional(pool).await?.ok_or(ApiError::NotFound)
    }

    /// The invoice, which nobody else changes until the transaction ends.
    pub(crate) async fn lock(connection: &mut PgConnection, number: &str) -> Result<Self, ApiError> {
        let query = sqlx::query_as("SELECT * FROM invoices WHERE number = $1 FOR UPDATE").bind(number);
        query.fetch_optional(connection).await?.ok_or(ApiError::NotFound)
    }

    pub(crate) async fn insert(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query(
            "INSERT INTO invoices (number, customer, total_cents, paid_cents, status)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&self.number)
        .bind(&self.customer)
        .bind(self.total_cents)
        .bind(self.paid_cents)
        .bind(&self.status)
        .execute(connection)
        .await?;
        Ok(())
    }

    pub(crate) async fn update(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query("UPDATE invoices SET paid_cents = $2, status = $3 WHERE number = $1")
            .bind(&self.number)
            .bind(self.paid_cents)
            .bind(&self.status)
            .execute(connection)
            .await?;
        Ok(())
    }
}
