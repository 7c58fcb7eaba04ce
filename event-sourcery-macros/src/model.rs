//! What was declared: an event type, understood and found fit to be generated for.

use std::collections::HashMap;

use quote::ToTokens;
use syn::{Data, DataEnum, DeriveInput, Fields, Ident, LitStr, Path, Type, parse_quote};

use crate::attributes::{Attributes, Place, Stored, refuse_on_fields, refuse_repeated};
use crate::errors::Errors;
use crate::marks::{Marks, Whose};
use crate::serde_attributes::SerdeAttributes;
use crate::serde_names::FieldRules;
use crate::upcasts::{Split, refuse_taken};

/// A type with `#[derive(Event)]`.
pub(crate) struct Declaration {
    pub(crate) ident: Ident,
    /// The path of the library.
    pub(crate) library: Path,
    pub(crate) shape: Shape,
}

pub(crate) enum Shape {
    Struct { stored: Stored, is_empty: bool, marks: Marks },
    Enum { variants: Vec<Variant>, splits: Vec<Split> },
}

pub(crate) struct Variant {
    pub(crate) ident: Ident,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    /// No fields.
    Empty(Stored),
    /// Named fields; `index` is the variant's place among those that serde deserialises.
    Named { stored: Stored, index: u32, marks: Marks },
    /// One event of a type of its own.
    Gathered(Type),
    /// The events of all other names.
    CatchAll(Type),
}

impl Declaration {
    /// Understands a declaration, or says everything that is wrong with it.
    pub(crate) fn read(input: &DeriveInput) -> syn::Result<Self> {
        let mut errors = Errors::default();
        if !input.generics.params.is_empty() {
            errors.add(
                &input.generics,
                "an event type takes no type, lifetime or const parameters: what is stored reads back as one type. \
                 Write the types out, and own what is borrowed",
            );
        }
        let place = if matches!(input.data, Data::Enum(_)) { Place::Enum } else { Place::Struct };
        let mut attributes = Attributes::read(&input.attrs, place, &mut errors);
        let shape = match &input.data {
            Data::Struct(data) => read_struct(input, &data.fields, &attributes, &mut errors),
            Data::Enum(data) => {
                let splits = std::mem::take(&mut attributes.splits);
                let variants = read_enum(input, data, &attributes, &mut errors);
                let names = variants.iter().map(|variant| (&variant.ident, variant.content.names()));
                refuse_taken(&splits, names, &mut errors);
                Shape::Enum { variants, splits }
            }
            Data::Union(data) => {
                errors.add(
                    data.union_token,
                    "an event is a struct with named fields or an enum: write one of these",
                );
                Shape::Enum { variants: Vec::new(), splits: Vec::new() }
            }
        };
        let library = attributes.library.unwrap_or_else(|| parse_quote!(::event_sourcery));
        errors.unless_any(Self { ident: input.ident.clone(), library, shape })
    }
}

fn read_struct(input: &DeriveInput, fields: &Fields, attributes: &Attributes, errors: &mut Errors) -> Shape {
    let ident = &input.ident;
    if let Fields::Unnamed(unnamed) = fields {
        let instead = if fields.is_empty() {
            format!("struct {ident};")
        } else {
            format!("struct {ident} {{ field: Type }}")
        };
        errors
            .add(unnamed, format!("a payload is a JSON object, so its fields have names: write `{instead}`"));
    }
    let marks = read_marks(fields, &FieldRules::read(&input.attrs), &[attributes], errors);
    let stored = attributes.stored(ident, &marks, errors);
    refuse_repeated([(ident, stored.names.as_slice())], errors);
    Shape::Struct { stored, is_empty: fields.is_empty(), marks }
}

/// What is marked in the fields of an event; `around` are the attributes that may say that the stream is the subject.
fn read_marks(fields: &Fields, rules: &FieldRules, around: &[&Attributes], errors: &mut Errors) -> Marks {
    let Fields::Named(named) = fields else {
        refuse_on_fields(fields, errors);
        return Marks::none();
    };
    let is_stream = around.iter().any(|attributes| attributes.stream_is_subject.is_some());
    Marks::read(named, rules, if is_stream { Whose::Stream } else { Whose::Nobody }, errors)
}

/// A type with `#[derive(Personal)]`.
pub(crate) struct PersonalDeclaration {
    pub(crate) ident: Ident,
    /// The path of the library.
    pub(crate) library: Path,
    pub(crate) marks: Marks,
}

impl PersonalDeclaration {
    /// Understands a declaration, or says everything that is wrong with it.
    pub(crate) fn read(input: &DeriveInput) -> syn::Result<Self> {
        let mut errors = Errors::default();
        if !input.generics.params.is_empty() {
            errors.add(&input.generics, "a type with marked fields takes no parameters: write the types out");
        }
        let attributes = Attributes::read(&input.attrs, Place::Personal, &mut errors);
        let marks = match &input.data {
            Data::Struct(syn::DataStruct { fields: Fields::Named(named), .. }) => {
                Marks::read(named, &FieldRules::read(&input.attrs), Whose::Holder, &mut errors)
            }
            _ => {
                errors.add(
                    &input.ident,
                    "what is encrypted is found by the names of fields: derive this on a struct with named fields, and of anything \
                     else encrypt the whole, in the field that holds it",
                );
                Marks::none()
            }
        };
        let library = attributes.library.unwrap_or_else(|| parse_quote!(::event_sourcery));
        errors.unless_any(Self { ident: input.ident.clone(), library, marks })
    }
}

fn read_enum(
    input: &DeriveInput,
    data: &DataEnum,
    of_enum: &Attributes,
    errors: &mut Errors,
) -> Vec<Variant> {
    if data.variants.is_empty() {
        errors.add(
            &input.ident,
            "an event enum needs a variant: `Paid { number: String }`, or `Paid(InvoicePaid)`",
        );
    }
    let through_serde = data.variants.iter().any(has_named_fields);
    if through_serde {
        SerdeAttributes::read(&input.attrs).refuse_on_enum(errors);
    }
    let rules = FieldRules::read(&input.attrs);
    let (mut variants, mut index) = (Vec::new(), 0);
    for variant in &data.variants {
        let attributes = Attributes::read(&variant.attrs, Place::Variant, errors);
        let serde = SerdeAttributes::read(&variant.attrs);
        serde.refuse_on_variant(variant, errors);
        if through_serde {
            serde.refuse_beside_named_fields(variant, attributes.catch_all.is_some(), errors);
        }
        let rules = rules.of_variant(&variant.attrs);
        let marks = read_marks(&variant.fields, &rules, &[of_enum, &attributes], errors);
        if let Some(content) = read_variant(variant, &attributes, (index, marks), errors) {
            variants.push(Variant { ident: variant.ident.clone(), content });
        }
        index += u32::from(!serde.skips_deserializing());
    }
    refuse_second_catch_all(&variants, errors);
    refuse_type_gathered_twice(&variants, errors);
    refuse_repeated(variants.iter().map(|variant| (&variant.ident, variant.content.names())), errors);
    variants
}

pub(crate) fn has_named_fields(variant: &syn::Variant) -> bool {
    matches!(&variant.fields, Fields::Named(fields) if !fields.named.is_empty())
}

fn read_variant(
    variant: &syn::Variant,
    attributes: &Attributes,
    (index, marks): (u32, Marks),
    errors: &mut Errors,
) -> Option<Content> {
    let ident = &variant.ident;
    let single = match &variant.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => fields.unnamed.first(),
        _ => None,
    };
    match (&attributes.catch_all, single) {
        (Some(_), Some(field)) => {
            let message = "a catch-all keeps the name and the form that each event came with: remove this";
            attributes.refuse_names_and_steps(message, errors);
            Some(Content::CatchAll(field.ty.clone()))
        }
        (Some(_), None) => {
            errors.add(ident, format!("a catch-all holds the undecoded event: write `{ident}(RawEvent)`"));
            None
        }
        (None, Some(field)) => {
            let message = "the event in this variant has its own name and forms: write this on its type";
            attributes.refuse_names_and_steps(message, errors);
            Some(Content::Gathered(field.ty.clone()))
        }
        (None, None) if variant.fields.is_empty() && !matches!(variant.fields, Fields::Unnamed(_)) => {
            Some(Content::Empty(attributes.stored(ident, &marks, errors)))
        }
        (None, None) if has_named_fields(variant) => {
            Some(Content::Named { stored: attributes.stored(ident, &marks, errors), index, marks })
        }
        (None, None) => {
            errors.add(
                ident,
                format!(
                    "this variant cannot be decoded: write `{ident} {{ field: Type }}` for fields, `{ident}(Event)` for \
                     one event struct, or `{ident}`"
                ),
            );
            None
        }
    }
}

fn refuse_second_catch_all(variants: &[Variant], errors: &mut Errors) {
    let mut catch_alls = variants.iter().filter(|variant| matches!(variant.content, Content::CatchAll(_)));
    let Some(first) = catch_alls.next() else { return };
    for second in catch_alls {
        errors.add(&second.ident, format!("`{}` is a catch-all already: an enum has one", first.ident));
    }
}

fn refuse_type_gathered_twice(variants: &[Variant], errors: &mut Errors) {
    let mut owners = HashMap::new();
    for Variant { ident, content } in variants {
        let Content::Gathered(ty) = content else { continue };
        if let Some(owner) = owners.insert(ty.to_token_stream().to_string(), ident) {
            errors.add(
                ty,
                format!("the variants `{owner}` and `{ident}` hold one type, whose name would stand for both: remove one"),
            );
        }
    }
}

impl Content {
    /// The names that are written on the variant itself.
    pub(crate) fn names(&self) -> &[LitStr] {
        match self {
            Self::Empty(stored) | Self::Named { stored, .. } => &stored.names,
            Self::Gathered(_) | Self::CatchAll(_) => &[],
        }
    }
}
