//! What stands in `#[event(..)]`, each key checked for itself.

use std::collections::HashMap;

use quote::ToTokens;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::parse::ParseBuffer;
use syn::{Attribute, Field, Ident, LitStr, Path};

use crate::errors::Errors;
use crate::marks::Marks;
use crate::tags::{self, TaggedField};
use crate::upcasts::{self, Split};

/// As many characters as the stores' column for it has.
const LONGEST_NAME: usize = 200;

/// Where an attribute stands, which decides what it may say.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Struct,
    Enum,
    Variant,
    /// On a type within events.
    Personal,
}

impl Place {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Struct => &["name", "alias", "upcast", "stream_is_subject", "tags", "crate"],
            Self::Enum => &["upcast", "stream_is_subject", "crate"],
            Self::Variant => &["name", "alias", "upcast", "stream_is_subject", "tags", "catch_all"],
            Self::Personal => &["crate"],
        }
    }

    fn refusal(self, key: &str) -> String {
        let known = self.keys().iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        match (self, key) {
            (Self::Enum, "name" | "alias") => {
                "an enum has no stored name of its own, its variants have: write the attribute on a variant"
                    .to_owned()
            }
            (Self::Struct | Self::Enum, "catch_all") => {
                "a catch-all is a variant of an enum: `#[event(catch_all)] Other(RawEvent)`".to_owned()
            }
            (Self::Struct, _) => format!("unknown key `{key}`: an event struct takes {known}"),
            (Self::Enum, _) => format!("unknown key `{key}`: an event enum takes {known}"),
            (Self::Variant, _) => format!("unknown key `{key}`: a variant of an event enum takes {known}"),
            (Self::Personal, _) => format!("unknown key `{key}`: a type within events takes {known}"),
        }
    }
}

/// How an event is stored: under which name, after it the former ones, how older forms become the current one, and with which tags.
pub(crate) struct Stored {
    pub(crate) names: Vec<LitStr>,
    pub(crate) steps: Vec<Path>,
    pub(crate) tags: Vec<TaggedField>,
}

/// All `#[event(..)]` attributes of one type or variant.
#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) name: Option<LitStr>,
    pub(crate) aliases: Vec<LitStr>,
    /// The functions from each form to the next.
    pub(crate) steps: Vec<Path>,
    /// On an enum: the former names that it splits.
    pub(crate) splits: Vec<Split>,
    upcast: Option<Path>,
    pub(crate) catch_all: Option<Path>,
    /// What is encrypted is about the one whom the stream is named after.
    pub(crate) stream_is_subject: Option<Path>,
    /// The fields whose values are tags.
    pub(crate) tagged: Vec<TaggedField>,
    tags: Option<Path>,
    pub(crate) library: Option<Path>,
}

impl Attributes {
    pub(crate) fn read(attributes: &[Attribute], place: Place, errors: &mut Errors) -> Self {
        let mut found = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("event")) {
            if let Err(error) = attribute.parse_nested_meta(|meta| found.take(&meta, place)) {
                errors.push(error);
            }
        }
        found
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>, place: Place) -> syn::Result<()> {
        let key = meta.path.to_token_stream().to_string();
        if !place.keys().contains(&key.as_str()) {
            return Err(meta.error(place.refusal(&key)));
        }
        match key.as_str() {
            "name" if self.name.is_some() => {
                return Err(meta.error("an event has one name: declare former names with `alias`"));
            }
            "name" => self.name = Some(text(meta, &key)?),
            "alias" => self.aliases.push(text(meta, &key)?),
            "upcast" if self.upcast.is_some() => {
                return Err(
                    meta.error("there is one list of upcasters, in order: put these into the first one")
                );
            }
            "upcast" => {
                self.upcast = Some(meta.path.clone());
                match place {
                    Place::Enum => self.splits = upcasts::splits(meta)?,
                    Place::Struct | Place::Variant | Place::Personal => self.steps = upcasts::steps(meta)?,
                }
            }
            "tags" if self.tags.is_some() => {
                return Err(meta.error("there is one list of tags: put these into the first one"));
            }
            "tags" => {
                self.tags = Some(meta.path.clone());
                self.tagged = tags::fields(meta)?;
            }
            "stream_is_subject" => self.stream_is_subject = Some(meta.path.clone()),
            "crate" => self.library = Some(path(&text(meta, &key)?)?),
            _ => self.catch_all = Some(meta.path.clone()),
        }
        Ok(())
    }

    /// The name, which is the identifier unless another is given, and the aliases.
    fn names(&self, ident: &Ident, errors: &mut Errors) -> Vec<LitStr> {
        let default = || LitStr::new(&ident.unraw().to_string(), ident.span());
        let name = self.name.clone().unwrap_or_else(default);
        let names: Vec<_> = std::iter::once(name).chain(self.aliases.iter().cloned()).collect();
        for name in &names {
            check_limits(name, errors);
        }
        names
    }

    /// The names, the steps from each form to the next, and the tags.
    pub(crate) fn stored(&self, ident: &Ident, marks: &Marks, errors: &mut Errors) -> Stored {
        tags::check(&self.tagged, marks, errors);
        Stored { names: self.names(ident, errors), steps: self.steps.clone(), tags: self.tagged.clone() }
    }

    /// What was written out, and cannot belong to something that has names and forms of its own.
    pub(crate) fn refuse_names_and_steps(&self, message: &str, errors: &mut Errors) {
        for name in self.name.iter().chain(&self.aliases) {
            errors.add(name, message);
        }
        for word in self.upcast.iter().chain(&self.stream_is_subject).chain(&self.tags) {
            errors.add(word, message);
        }
    }
}

fn text(meta: &ParseNestedMeta<'_>, key: &str) -> syn::Result<LitStr> {
    let text = meta.value().and_then(ParseBuffer::parse);
    text.map_err(|error| syn::Error::new(error.span(), format!("write a text in quotes: `{key} = \"..\"`")))
}

fn path(text: &LitStr) -> syn::Result<Path> {
    let refusal =
        || syn::Error::new(text.span(), "write the path of the library: `crate = \"my_crate::events\"`");
    text.parse_with(Path::parse_mod_style).map_err(|_| refusal())
}

pub(crate) fn check_limits(name: &LitStr, errors: &mut Errors) {
    let characters = name.value().chars().count();
    if characters == 0 {
        errors.add(name, "an event's name cannot be empty");
    } else if characters > LONGEST_NAME {
        errors.add(
            name,
            format!("an event's name has up to {LONGEST_NAME} characters, and this one has {characters}"),
        );
    } else if name.value().contains('\0') {
        errors.add(name, "an event's name cannot hold the character NUL");
    }
}

/// Refuses names that stand for two things. Each list of names comes with the identifier it belongs to.
pub(crate) fn refuse_repeated<'a>(
    lists: impl IntoIterator<Item = (&'a Ident, &'a [LitStr])>,
    errors: &mut Errors,
) {
    let mut owners = HashMap::new();
    for (ident, names) in lists {
        for name in names {
            let value = name.value();
            match owners.get(&value).copied() {
                None => _ = owners.insert(value, ident),
                Some(owner) if owner == ident => {
                    errors.add(name, format!("`{ident}` has the name `{value}` already: leave this one out"));
                }
                Some(owner) => errors.add(
                    name,
                    format!(
                        "the variants `{owner}` and `{ident}` both have the name `{value}`: give one of them another, \
                         `#[event(name = \"..\")]`"
                    ),
                ),
            }
        }
    }
}

/// Refuses `#[event(..)]` on fields without names: an attribute without effect must not look as if it had one.
pub(crate) fn refuse_on_fields<'a>(fields: impl IntoIterator<Item = &'a Field>, errors: &mut Errors) {
    for attribute in fields.into_iter().flat_map(|field| &field.attrs) {
        if attribute.path().is_ident("event") {
            errors.add(
                attribute,
                "this field has no name, and takes no `event` attribute: mark the fields of the struct that it holds",
            );
        }
    }
}
