//! The fields of a query, or of a form.

use crate::failure::Failure;

/// Fields by name, in their order.
#[derive(Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// None of them may hold a NUL: no name does, and PostgreSQL takes it for a broken text.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Failure> {
        let fields: Vec<(String, String)> = form_urlencoded::parse(text).into_owned().collect();
        let has_nul = fields.iter().any(|(_, value)| value.contains('\0'));
        if has_nul { Err(Failure::Impossible) } else { Ok(Self(fields)) }
    }

    /// The first one of this name that is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Those of this name that are not empty.
    pub(crate) fn all<'f>(&'f self, name: &str) -> impl Iterator<Item = &'f str> {
        let named = self.0.iter().filter(move |(field, value)| field == name && !value.is_empty());
        named.map(|(_, value)| value.as_str())
    }

    /// All of them, but for one.
    pub(crate) fn without<'f>(&'f self, name: &str) -> impl Iterator<Item = (&'f str, &'f str)> {
        let others = self.0.iter().filter(move |(field, _)| field != name);
        others.map(|(field, value)| (field.as_str(), value.as_str()))
    }
}

/// These fields as a query; those that are empty are left out.
pub(crate) fn query<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(fields.into_iter().filter(|(_, value)| !value.is_empty()));
    query.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_in_a_field_comes_back_and_empty_ones_are_left_out() {
        let hostile = "\"><script>&a=b#?/é \u{1}";
        let text = query([("name", hostile), ("tenant", ""), ("name", "2")]);
        let fields = Fields::parse(text.as_bytes()).unwrap();
        assert_eq!(fields.all("name").collect::<Vec<_>>(), [hostile, "2"]);
        assert_eq!((fields.get("tenant"), fields.get("other")), (None, None));
        assert!(text.chars().all(|each| each.is_ascii_alphanumeric() || "%&=+-._*".contains(each)), "{text}");
    }
}
