//! Under which names serde writes fields, and what of them it leaves out or writes otherwise.

use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Field, LitStr, Path, Token};

use crate::serde_attributes::skip_value;

/// What the attributes of a type, or a variant, say about its fields.
#[derive(Default)]
pub(crate) struct FieldRules {
    rename_all: Option<String>,
    /// On an enum: for the fields of its variants.
    rename_all_fields: Option<String>,
    /// Its one field stands in its place.
    pub(crate) transparent: Option<Path>,
    /// What makes another type of it before it is written.
    pub(crate) written_as_another: Option<Path>,
}

impl FieldRules {
    pub(crate) fn read(attributes: &[Attribute]) -> Self {
        let mut rules = Self::default();
        each(attributes, |meta| {
            if meta.path.is_ident("rename_all") {
                rules.rename_all = written_name(meta)?;
            } else if meta.path.is_ident("rename_all_fields") {
                rules.rename_all_fields = written_name(meta)?;
            } else {
                if meta.path.is_ident("transparent") {
                    rules.transparent = Some(meta.path.clone());
                } else if meta.path.is_ident("into") || meta.path.is_ident("remote") {
                    rules.written_as_another = Some(meta.path.clone());
                }
                skip_value(meta)?;
            }
            Ok(())
        });
        rules
    }

    /// Those of a variant of an enum with these.
    pub(crate) fn of_variant(&self, attributes: &[Attribute]) -> Self {
        let own = Self::read(attributes);
        Self { rename_all: own.rename_all.or_else(|| self.rename_all_fields.clone()), ..own }
    }
}

/// A field, as serde writes it.
pub(crate) struct SerdeField {
    pub(crate) name: String,
    /// Its own fields stand in the place of it.
    pub(crate) flatten: Option<Path>,
    /// What leaves it out, always or at times, when it is written or when it is read.
    pub(crate) skip: Option<Path>,
    /// Whether it is never written.
    pub(crate) is_never_written: bool,
    /// What writes it.
    pub(crate) written_with: Option<Path>,
}

impl SerdeField {
    pub(crate) fn read(field: &Field, rules: &FieldRules) -> Self {
        let ident = field.ident.as_ref().map(|ident| ident.unraw().to_string()).unwrap_or_default();
        let renamed = rules.rename_all.as_deref().map(|rule| renamed(rule, &ident));
        let mut read = Self {
            name: renamed.unwrap_or(ident),
            flatten: None,
            skip: None,
            is_never_written: false,
            written_with: None,
        };
        each(&field.attrs, |meta| read.take(meta));
        read
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let is = |key: &str| meta.path.is_ident(key);
        if is("rename") {
            if let Some(name) = written_name(meta)? {
                self.name = name;
            }
            return Ok(());
        }
        if is("with") || is("serialize_with") {
            let path: LitStr = meta.value()?.parse()?;
            let mut path: Path = path.parse()?;
            if is("with") {
                path.segments.push(syn::parse_quote!(serialize));
            }
            self.written_with = Some(path);
            return Ok(());
        }
        if is("flatten") {
            self.flatten = Some(meta.path.clone());
        } else if is("skip") || is("skip_serializing") {
            self.skip = Some(meta.path.clone());
            self.is_never_written = true;
        } else if is("skip_serializing_if") || is("skip_deserializing") {
            self.skip = Some(meta.path.clone());
        }
        skip_value(meta)
    }
}

impl SerdeField {
    /// Whether what is read is never what was written.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_never_written || self.skip.as_ref().is_some_and(|word| word.is_ident("skip_deserializing"))
    }
}

/// What does not parse, serde's own derive reports.
fn each(attributes: &[Attribute], mut take: impl FnMut(&ParseNestedMeta<'_>) -> syn::Result<()>) {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let _ = attribute.parse_nested_meta(|meta| take(&meta));
    }
}

/// `= ".."`, or what is said for writing: `(serialize = "..", deserialize = "..")`.
fn written_name(meta: &ParseNestedMeta<'_>) -> syn::Result<Option<String>> {
    if meta.input.peek(Token![=]) {
        let name: LitStr = meta.value()?.parse()?;
        return Ok(Some(name.value()));
    }
    let mut written = None;
    meta.parse_nested_meta(|inner| {
        let name: LitStr = inner.value()?.parse()?;
        if inner.path.is_ident("serialize") {
            written = Some(name.value());
        }
        Ok(())
    })?;
    Ok(written)
}

/// A field's name by one of serde's rules. What is no rule, serde's own derive reports.
fn renamed(rule: &str, field: &str) -> String {
    match rule {
        "UPPERCASE" | "SCREAMING_SNAKE_CASE" => field.to_ascii_uppercase(),
        "PascalCase" => capitalised(field),
        "camelCase" => {
            let pascal = capitalised(field);
            let mut characters = pascal.chars();
            let first = characters.next().map(|first| first.to_ascii_lowercase());
            first.into_iter().chain(characters).collect()
        }
        "kebab-case" => field.replace('_', "-"),
        "SCREAMING-KEBAB-CASE" => field.to_ascii_uppercase().replace('_', "-"),
        _ => field.to_owned(),
    }
}

fn capitalised(field: &str) -> String {
    let (mut name, mut begins) = (String::new(), true);
    for character in field.chars() {
        if character == '_' {
            begins = true;
        } else if begins {
            name.push(character.to_ascii_uppercase());
            begins = false;
        } else {
            name.push(character);
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::renamed;

    /// As serde's own derive has them.
    #[test]
    fn a_field_gets_the_name_that_serde_gives_it() {
        for (rule, name) in [
            ("lowercase", "very_tasty_2"),
            ("UPPERCASE", "VERY_TASTY_2"),
            ("PascalCase", "VeryTasty2"),
            ("camelCase", "veryTasty2"),
            ("snake_case", "very_tasty_2"),
            ("SCREAMING_SNAKE_CASE", "VERY_TASTY_2"),
            ("kebab-case", "very-tasty-2"),
            ("SCREAMING-KEBAB-CASE", "VERY-TASTY-2"),
        ] {
            assert_eq!(renamed(rule, "very_tasty_2"), name);
        }
    }
}
