//! What stands in `#[serde(..)]`, as far as it decides whether a variant's fields make up its payload.

use syn::meta::ParseNestedMeta;
use syn::parse::ParseStream;
use syn::{Attribute, Expr, Path, Token, Variant, parenthesized, token};

use crate::errors::Errors;
use crate::model::has_named_fields;

/// The keys of all `#[serde(..)]` attributes of one type or variant.
pub(crate) struct SerdeAttributes(Vec<Path>);

impl SerdeAttributes {
    pub(crate) fn read(attributes: &[Attribute]) -> Self {
        let mut keys = Vec::new();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            // What does not parse, serde's own derive reports.
            let _ = attribute.parse_nested_meta(|meta| {
                keys.push(meta.path.clone());
                skip_value(&meta)
            });
        }
        Self(keys)
    }

    /// The first of these keys that is there.
    pub(crate) fn any_of(&self, keys: &[&str]) -> Option<&Path> {
        self.0.iter().find(|path| keys.iter().any(|key| path.is_ident(key)))
    }

    /// Whether serde leaves the variant out when it deserialises, and does not count it.
    pub(crate) fn skips_deserializing(&self) -> bool {
        self.any_of(&["skip", "skip_deserializing"]).is_some()
    }

    fn skips_serializing(&self) -> bool {
        self.any_of(&["skip", "skip_serializing"]).is_some()
    }

    /// Refuses what makes of an enum anything but serde's default, externally tagged form.
    pub(crate) fn refuse_on_enum(&self, errors: &mut Errors) {
        if let Some(key) = self.any_of(&["tag", "content", "untagged", "from", "try_from", "into", "remote"])
        {
            errors.add(
                key,
                "the payload of a variant with named fields is the object of its fields, and its name is stored beside \
                 it: remove this attribute, or gather event structs, `Paid(InvoicePaid)`",
            );
        }
    }

    /// Refuses what makes a variant impossible to store or to read.
    pub(crate) fn refuse_on_variant(&self, variant: &Variant, errors: &mut Errors) {
        if let Some(key) = self.any_of(&["other"]) {
            errors.add(
                key,
                "events of other names are decoded by a catch-all: write `#[event(catch_all)] Other(RawEvent)`",
            );
        }
        let skip = self.any_of(&["skip", "skip_serializing", "skip_deserializing"]);
        if let Some(key) = skip.filter(|_| has_named_fields(variant)) {
            errors.add(
                key,
                "a variant with named fields is stored and read through serde, which is to skip it: remove this \
                 attribute, or the variant",
            );
        }
    }

    /// Refuses what a variant cannot be in an enum that goes through serde for its variants with named fields.
    pub(crate) fn refuse_beside_named_fields(
        &self,
        variant: &Variant,
        is_catch_all: bool,
        errors: &mut Errors,
    ) {
        if let Some(key) = self.any_of(&["untagged"]) {
            errors.add(key, "a variant is found by its stored name: remove `untagged`");
        }
        if is_catch_all
            && !has_named_fields(variant)
            && !(self.skips_serializing() && self.skips_deserializing())
        {
            errors.add(
                &variant.ident,
                "other variants of this enum have named fields and go through serde, which a raw event does not: add \
                 `#[serde(skip)]` to this one",
            );
        }
    }
}

pub(crate) fn skip_value(meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<Expr>()?;
    } else if meta.input.peek(token::Paren) {
        let nested;
        parenthesized!(nested in meta.input);
        (&nested as ParseStream<'_>).parse::<proc_macro2::TokenStream>()?;
    }
    Ok(())
}
