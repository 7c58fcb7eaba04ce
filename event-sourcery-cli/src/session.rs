//! The store of a command, opened so that it does no more than the command is to do.

use event_sourcery::{Category, EventStore, TenantId};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::location::{Database, Location};

/// What a command is to do with the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It looks. Nothing is created or migrated; a file is opened for reading only, and a reader's rights are enough.
    Look,
    /// It changes something. Nothing is created or migrated.
    Change,
    /// It makes the store, or brings its tables up to date.
    Migrate,
}

/// Where the store is, and whose part of it is meant.
pub(crate) struct Session {
    location: Location,
    tenant: Option<TenantId>,
}

impl Session {
    pub(crate) fn of(arguments: &Arguments) -> Result<Self, Failure> {
        let tenant = arguments.tenant.as_deref().map(TenantId::new).transpose()?;
        Ok(Self { location: arguments.location()?, tenant })
    }

    /// The same part of another store. What is copied to itself, or compared with itself, would be told to be well.
    pub(crate) fn at(&self, url: &str) -> Result<Self, Failure> {
        let location = Location::parse(url)?;
        if location.is_the_same_as(&self.location) {
            return Err(Failure::Usage {
                what: format!("{location} is the store itself, and no other one"),
                to_do: "give the address of another one; the first store is that of --store, or of \
                        EVENT_SOURCERY_URL"
                    .to_owned(),
            });
        }
        Ok(Self { location, tenant: self.tenant.clone() })
    }

    pub(crate) const fn location(&self) -> &Location {
        &self.location
    }

    /// Whose part of the store is meant, if somebody's.
    pub(crate) const fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    /// A handle of the tenant that is meant, or the default one.
    pub(crate) async fn open(&self, access: Access) -> Result<EventStore, Failure> {
        let store = match &self.location {
            Location::Sqlite { path, prefix } => open_file(path, prefix.as_deref(), access).await?,
            Location::Postgres(database) => open_database(database, access).await?,
        };
        Ok(match &self.tenant {
            Some(tenant) => store.for_tenant(tenant.clone()),
            None => store,
        })
    }

    /// The SQL that would bring the tables up to date.
    pub(crate) async fn migration(&self) -> Result<String, Failure> {
        match &self.location {
            Location::Sqlite { path, prefix } => migration_of_file(path, prefix.as_deref()),
            Location::Postgres(database) => migration_of_database(database).await,
        }
    }
}

/// A category, if one is named.
pub(crate) fn category(named: Option<&str>) -> Result<Option<Category>, Failure> {
    Ok(named.map(Category::new).transpose()?)
}

#[cfg(feature = "sqlite")]
fn file(path: &std::path::Path, prefix: Option<&str>) -> event_sourcery_sqlite::SqliteOptions {
    let options = event_sourcery_sqlite::SqliteOptions::new(path);
    match prefix {
        Some(prefix) => options.table_prefix(prefix),
        None => options,
    }
}

#[cfg(feature = "sqlite")]
async fn open_file(
    path: &std::path::Path,
    prefix: Option<&str>,
    access: Access,
) -> Result<EventStore, Failure> {
    let options = file(path, prefix).create(access == Access::Migrate).migrate(access == Access::Migrate);
    Ok(EventStore::new(options.read_only(access == Access::Look).open().await?).erased())
}

#[cfg(feature = "sqlite")]
fn migration_of_file(path: &std::path::Path, prefix: Option<&str>) -> Result<String, Failure> {
    Ok(file(path, prefix).migration()?)
}

#[cfg(feature = "postgres")]
fn database(database: &Database) -> event_sourcery_postgres::PostgresOptions {
    let mut options = event_sourcery_postgres::PostgresOptions::new(&database.url)
        .transaction_pooler(database.behind_pooler)
        .max_connections(CONNECTIONS);
    if let Some(schema) = &database.schema {
        options = options.schema(schema);
    }
    if let Some(prefix) = &database.prefix {
        options = options.table_prefix(prefix);
    }
    options
}

/// One command asks one thing at a time.
#[cfg(feature = "postgres")]
const CONNECTIONS: u32 = 3;

#[cfg(feature = "postgres")]
async fn open_database(of: &Database, access: Access) -> Result<EventStore, Failure> {
    let options = database(of).migrate(access == Access::Migrate);
    Ok(EventStore::new(options.open().await?).erased())
}

#[cfg(feature = "postgres")]
async fn migration_of_database(of: &Database) -> Result<String, Failure> {
    Ok(database(of).migration().await?)
}

#[cfg(not(feature = "sqlite"))]
async fn open_file(_: &std::path::Path, _: Option<&str>, _: Access) -> Result<EventStore, Failure> {
    Err(left_out("sqlite"))
}

#[cfg(not(feature = "sqlite"))]
fn migration_of_file(_: &std::path::Path, _: Option<&str>) -> Result<String, Failure> {
    Err(left_out("sqlite"))
}

#[cfg(not(feature = "postgres"))]
async fn open_database(_: &Database, _: Access) -> Result<EventStore, Failure> {
    Err(left_out("postgres"))
}

#[cfg(not(feature = "postgres"))]
async fn migration_of_database(_: &Database) -> Result<String, Failure> {
    Err(left_out("postgres"))
}

#[cfg(not(all(feature = "sqlite", feature = "postgres")))]
pub(crate) fn left_out(feature: &str) -> Failure {
    Failure::Usage {
        what: format!("this program was built without the feature `{feature}`"),
        to_do: "install it with that: `cargo install --path event-sourcery-cli --features ..`".to_owned(),
    }
}
