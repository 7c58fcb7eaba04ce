//! What stands in `#[event(upcast(..))]`: the steps of one event, or the former names that an enum splits.

use std::collections::HashMap;

use syn::meta::ParseNestedMeta;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, LitStr, Path, Token, parenthesized};

use crate::attributes::check_limits;
use crate::errors::Errors;

/// A former name, the steps that its forms take, and the function that decides which event it has become.
pub(crate) struct Split {
    pub(crate) name: LitStr,
    pub(crate) steps: Vec<Path>,
    pub(crate) function: Path,
}

/// The functions that turn each form of an event into the next, from the first on.
pub(crate) fn steps(meta: &ParseNestedMeta<'_>) -> syn::Result<Vec<Path>> {
    list::<Step>(meta, "name the functions, the step from form 1 to form 2 first: `upcast(first, second)`")
        .map(|steps| steps.into_iter().map(|Step(function)| function).collect())
}

/// The former names that are split.
pub(crate) fn splits(meta: &ParseNestedMeta<'_>) -> syn::Result<Vec<Split>> {
    list(meta, SPLIT)
}

const SPLIT: &str = "an enum splits a former name: write `upcast(\"FormerName\" = function)`; the steps of one event stand \
                     on its variant or its type";

const SPLIT_WITH: &str = "a name is split by a function, `\"FormerName\" = function`; the steps that the name had stand before \
                          it, `\"FormerName\" = (first, second, function)`";

fn list<T: Parse>(meta: &ParseNestedMeta<'_>, instead: &str) -> syn::Result<Vec<T>> {
    if !meta.input.peek(syn::token::Paren) {
        return Err(meta.error(instead));
    }
    let content;
    parenthesized!(content in meta.input);
    let items = Punctuated::<T, Token![,]>::parse_terminated(&content)?;
    if items.is_empty() {
        return Err(meta.error(instead));
    }
    Ok(items.into_iter().collect())
}

struct Step(Path);

impl Parse for Step {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(LitStr) {
            return Err(input.error(
                "a name that became several events is split by their enum: write this on the enum; a step is the \
                 name of a function",
            ));
        }
        let function = input.parse();
        function.map(Self).map_err(|error| {
            syn::Error::new(error.span(), "a step is the name of a function: `upcast(first, second)`")
        })
    }
}

impl Parse for Split {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(LitStr) {
            return Err(input.error(SPLIT));
        }
        let name = input.parse()?;
        input.parse::<Token![=]>()?;
        let (steps, function) = steps_and_split(input)?;
        Ok(Self { name, steps, function })
    }
}

/// One function, or in parentheses the steps before it and then the function.
fn steps_and_split(input: ParseStream<'_>) -> syn::Result<(Vec<Path>, Path)> {
    if !input.peek(syn::token::Paren) {
        return Ok((Vec::new(), split_function(input)?));
    }
    let content;
    let parentheses = parenthesized!(content in input);
    let functions = content.parse_terminated(split_function, Token![,])?;
    let mut steps: Vec<_> = functions.into_iter().collect();
    let function = steps.pop().ok_or_else(|| syn::Error::new(parentheses.span.join(), SPLIT_WITH))?;
    Ok((steps, function))
}

fn split_function(input: ParseStream<'_>) -> syn::Result<Path> {
    input.parse().map_err(|error: syn::Error| syn::Error::new(error.span(), SPLIT_WITH))
}

/// Refuses a split of a name that an event has, and a second one of the same name.
pub(crate) fn refuse_taken<'a>(
    splits: &[Split],
    variants: impl IntoIterator<Item = (&'a Ident, &'a [LitStr])>,
    errors: &mut Errors,
) {
    let mut owners = HashMap::new();
    for (ident, names) in variants {
        owners.extend(names.iter().map(|name| (name.value(), Some(ident))));
    }
    for Split { name, .. } in splits {
        check_limits(name, errors);
        let value = name.value();
        match owners.insert(value.clone(), None) {
            None => {}
            Some(Some(ident)) => errors.add(
                name,
                format!("the variant `{ident}` has the name `{value}`: a name that is split is no event's any more"),
            ),
            Some(None) => errors.add(name, format!("`{value}` is split already: leave one of the two out")),
        }
    }
}
