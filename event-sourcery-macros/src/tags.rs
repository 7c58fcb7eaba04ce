//! What stands in `#[event(tags(..))]`: the fields whose values an event is tagged with.

use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, LitStr, Token, parenthesized};

use crate::errors::Errors;
use crate::marks::Marks;

/// A field, and the name of the tag that its value goes to.
#[derive(Clone)]
pub(crate) struct TaggedField {
    pub(crate) field: Ident,
    pub(crate) name: String,
}

const INSTEAD: &str = "name the fields whose values are tags: `tags(course, student)`; where a tag has another name than its \
                       field, `tags(course = \"class\")`";

/// The fields that are named.
pub(crate) fn fields(meta: &ParseNestedMeta<'_>) -> syn::Result<Vec<TaggedField>> {
    if !meta.input.peek(syn::token::Paren) {
        return Err(meta.error(INSTEAD));
    }
    let content;
    parenthesized!(content in meta.input);
    let fields = Punctuated::<TaggedField, Token![,]>::parse_terminated(&content)?;
    if fields.is_empty() {
        return Err(meta.error(INSTEAD));
    }
    Ok(fields.into_iter().collect())
}

impl Parse for TaggedField {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(Ident::peek_any) {
            return Err(input.error(INSTEAD));
        }
        let field: Ident = input.parse()?;
        if !input.peek(Token![=]) {
            let name = field.unraw().to_string();
            return Ok(Self { field, name });
        }
        input.parse::<Token![=]>()?;
        let name: LitStr = input.parse()?;
        if name.value().is_empty() || name.value().contains([':', '\0']) {
            let refusal = "the name of a tag is not empty, and has no colon and no NUL";
            return Err(syn::Error::new(name.span(), refusal));
        }
        Ok(Self { field, name: name.value() })
    }
}

/// Refuses fields that are not there, those that are not stored, and those that nobody is to read.
pub(crate) fn check(tags: &[TaggedField], marks: &Marks, errors: &mut Errors) {
    for TaggedField { field, .. } in tags {
        match marks.fields.iter().find(|one| one.ident == *field) {
            None => errors.add(field, format!("there is no field `{field}`: a tag is the value of a field")),
            Some(found) if found.mark.is_some() => errors.add(
                field,
                format!("the field `{field}` is encrypted, and a tag stands in the clear: tag another one"),
            ),
            Some(found) if found.serde.is_lost() => errors.add(
                field,
                format!("the field `{field}` is not stored, or not read: the event that is read would have another tag"),
            ),
            Some(_) => {}
        }
    }
}
