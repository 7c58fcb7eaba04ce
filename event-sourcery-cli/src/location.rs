//! Where the store is: an address, its options, and what of it is not to be printed.

use std::fmt;
use std::path::PathBuf;

use crate::failure::Failure;

/// Where the store is. `Display` shows no password.
pub(crate) enum Location {
    /// A file.
    Sqlite { path: PathBuf, prefix: Option<String> },
    /// A database.
    Postgres(Box<Database>),
}

/// A database of PostgreSQL.
#[derive(PartialEq, Eq)]
pub(crate) struct Database {
    /// The address without our own options.
    pub(crate) url: String,
    pub(crate) schema: Option<String>,
    pub(crate) prefix: Option<String>,
    /// Whether the address is that of a pooler that hands out connections by the transaction.
    pub(crate) behind_pooler: bool,
}

impl Location {
    pub(crate) fn parse(url: &str) -> Result<Self, Failure> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        if let Some(path) = address.strip_prefix("sqlite:") {
            return sqlite(path, Options::parse(query)?);
        }
        if ["postgres://", "postgresql://"].iter().any(|scheme| address.starts_with(scheme)) {
            return Options::parse(query).map(|options| postgres(address, options));
        }
        Err(Failure::Usage {
            what: "the store's address begins neither with sqlite: nor with postgres://".to_owned(),
            to_do: "for a file, write sqlite: before its path".to_owned(),
        })
    }

    /// Whether both are one store, as far as their addresses tell.
    pub(crate) fn is_the_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite { path: one, prefix: of_one }, Self::Sqlite { path, prefix }) => {
                let whole = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
                of_one == prefix && whole(one) == whole(path)
            }
            (Self::Postgres(one), Self::Postgres(other)) => one == other,
            _ => false,
        }
    }
}

fn sqlite(path: &str, options: Options) -> Result<Location, Failure> {
    let Options { schema: None, behind_pooler: false, prefix, others } = options else {
        return Err(unknown("schema and pooler are for PostgreSQL"));
    };
    if let Some(other) = others.first() {
        return Err(unknown(&format!("a file has no option {other:?}")));
    }
    // `sqlite:orders.db`, and `sqlite:///var/lib/orders.db` as others write it.
    let path = decoded(path.strip_prefix("//").unwrap_or(path))?;
    if path.is_empty() {
        return Err(Failure::Usage {
            what: "the store's address names no file".to_owned(),
            to_do: "write its path behind sqlite:".to_owned(),
        });
    }
    Ok(Location::Sqlite { path: path.into(), prefix })
}

fn postgres(address: &str, options: Options) -> Location {
    let Options { schema, prefix, behind_pooler, mut others } = options;
    if !others.iter().any(|other| other.starts_with("application_name=")) {
        // So that whoever looks who is connected knows.
        others.push("application_name=event-sourcery".to_owned());
    }
    let url = format!("{address}?{}", others.join("&"));
    Location::Postgres(Box::new(Database { url, schema, prefix, behind_pooler }))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path, .. } => path.display().fmt(f),
            Self::Postgres(database) => {
                // Hidden first: a password may have a question mark in it.
                let shown = Hidden::of(Some(&database.url)).out_of(&database.url);
                f.write_str(shown.split('?').next().unwrap_or_default())
            }
        }
    }
}

/// What stands behind the question mark.
#[derive(Default)]
struct Options {
    schema: Option<String>,
    prefix: Option<String>,
    behind_pooler: bool,
    /// What is none of ours, as it stands there.
    others: Vec<String>,
}

impl Options {
    fn parse(query: &str) -> Result<Self, Failure> {
        let mut options = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("schema", schema) => options.schema = Some(decoded(schema)?),
                ("prefix", prefix) => options.prefix = Some(decoded(prefix)?),
                ("pooler", "transaction") => options.behind_pooler = true,
                ("pooler", "session") => options.behind_pooler = false,
                ("pooler", _) => return Err(unknown("pooler is either transaction or session")),
                _ => options.others.push(pair.to_owned()),
            }
        }
        Ok(options)
    }
}

fn unknown(problem: &str) -> Failure {
    Failure::Usage {
        what: format!("an option of the store's address cannot be meant: {problem}"),
        to_do: "see `event-sourcery --help`; a ? that belongs to a path is written %3F".to_owned(),
    }
}

/// A part of an address without its `%20` and the like.
fn decoded(part: &str) -> Result<String, Failure> {
    let mut bytes = part.bytes();
    let mut next = || {
        let byte = bytes.next()?;
        if byte != b'%' {
            return Some(Some(byte));
        }
        let digits = [bytes.next().unwrap_or_default(), bytes.next().unwrap_or_default()];
        let digits = std::str::from_utf8(&digits).unwrap_or_default();
        Some(u8::from_str_radix(digits, 16).ok())
    };
    let decoded = std::iter::from_fn(&mut next).collect::<Option<Vec<u8>>>();
    decoded.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| Failure::Usage {
        what: "what stands behind a % in the store's address is no byte in hexadecimal".to_owned(),
        to_do: "write %25 for a % of its own".to_owned(),
    })
}

/// What stands in place of what is hidden.
const HIDDEN: &str = "***";

/// A password in a text of four characters or more is hidden wherever it stands; a shorter one where it stands in an address.
const TELLING: usize = 4;

/// What must not be printed: the passwords of an address.
#[derive(Default)]
pub(crate) struct Hidden(Vec<String>);

impl Hidden {
    /// The passwords in a text that may be an address, or have one in it.
    pub(crate) fn of(text: Option<&str>) -> Self {
        let Some((_, rest)) = text.and_then(|text| text.split_once("://")) else { return Self::default() };
        // A password may have been written as it is, with whatever it has in it.
        let of_user = rest.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
        let of_option = rest.split(['?', '&']).filter_map(|option| option.split_once("password="));
        let passwords = of_user.into_iter().chain(of_option).map(|(_, password)| password);
        let mut hidden = Vec::new();
        for password in passwords.filter(|password| !password.is_empty()) {
            hidden
                .extend(decoded(password).ok().filter(|decoded| !decoded.is_empty() && decoded != password));
            hidden.push(password.to_owned());
        }
        Self(hidden).and(Self::default())
    }

    /// These and others.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        // What has another one in it goes first.
        self.0.sort_by_key(|password| std::cmp::Reverse(password.len()));
        self
    }

    /// A text without them.
    pub(crate) fn out_of(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, password| {
            if password.len() >= TELLING {
                return text.replace(password, HIDDEN);
            }
            text.replace(&format!(":{password}@"), &format!(":{HIDDEN}@"))
                .replace(&format!("password={password}"), &format!("password={HIDDEN}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(url: &str) -> (String, Option<String>) {
        let Ok(Location::Sqlite { path, prefix }) = Location::parse(url) else { panic!("{url}") };
        (path.display().to_string(), prefix)
    }

    #[test]
    fn the_address_of_a_file_is_its_path() {
        assert_eq!(sqlite("sqlite:orders.db"), ("orders.db".to_owned(), None));
        assert_eq!(sqlite("sqlite:///var/my%20orders%3F.db?prefix=billing_").0, "/var/my orders?.db");
        assert_eq!(sqlite("sqlite:orders.db?prefix=billing_").1.as_deref(), Some("billing_"));
        let of_postgres = "sqlite:a.db?schema=b";
        for wrong in ["sqlite:", "sqlite:a%2", of_postgres, "sqlite:a.db?mode=ro", "orders.db", "mysql://h/d"]
        {
            let refused = Location::parse(wrong).err().map(|failure| failure.code());
            assert_eq!(refused, Some(2), "{wrong}");
        }
    }

    #[test]
    fn our_options_are_taken_out_of_the_address_of_a_database() {
        let url = "postgres://billing@db/app?schema=bill%20ing&sslmode=disable&prefix=b_&pooler=transaction";
        let Ok(Location::Postgres(database)) = Location::parse(url) else { panic!("{url}") };
        assert_eq!(database.url, "postgres://billing@db/app?sslmode=disable&application_name=event-sourcery");
        let Database { schema, prefix, behind_pooler, .. } = *database;
        let options = (schema.as_deref(), prefix.as_deref(), behind_pooler);
        assert_eq!(options, (Some("bill ing"), Some("b_"), true));
        assert!(Location::parse("postgres://db/app?pooler=yes").is_err());
    }

    #[test]
    fn no_password_is_shown() {
        for url in [
            "postgres://billing:s3cret%2Dpw@db/app",
            "postgres://billing:s3cret-pw@db/app?application_name=me@home",
            "postgres://billing@db/app?sslmode=disable&password=s3cret-pw",
            "postgres://billing:s3cret-pw/#?@db/app",
        ] {
            let told = format!("no connection to {url}, as the user says s3cret-pw");
            let shown = Hidden::of(Some(url)).out_of(&told);
            assert!(!shown.contains("s3cret%2Dpw") && !shown.contains("s3cret-pw@"), "{shown}");
            let Ok(location) = Location::parse(url) else { panic!("{url}") };
            assert!(!location.to_string().contains("s3cret"), "{location}");
        }
        let short = Hidden::of(Some("postgres://a:pw@db/app")).out_of("pw: postgres://a:pw@db/app");
        assert_eq!(short, "pw: postgres://a:***@db/app");
    }
}
