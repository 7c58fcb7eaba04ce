//! What stands in `#[event(..)]` on fields: whom an event is about, and what of it is to be encrypted.

use quote::ToTokens;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::{Expr, Field, FieldsNamed, Ident, LitStr, Path, Token, Type};

use crate::errors::Errors;
use crate::serde_names::{FieldRules, SerdeField};

/// The fields of a struct, or a variant, with what is marked.
pub(crate) struct Marks {
    pub(crate) fields: Vec<MarkedField>,
    pub(crate) whose: Whose,
    /// Whether its one field stands in its place.
    pub(crate) is_transparent: bool,
}

pub(crate) struct MarkedField {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) serde: SerdeField,
    pub(crate) mark: Option<Mark>,
}

/// A field that is to be encrypted.
pub(crate) struct Mark {
    /// The word.
    encrypted: Path,
    pub(crate) mask: Option<Expr>,
    /// The field that tells whom it is about, if that is another one than for the rest.
    pub(crate) subject: Option<LitStr>,
}

/// Whom the marked fields are about, unless they say otherwise.
#[derive(Clone)]
pub(crate) enum Whose {
    /// This field tells.
    Field(Ident),
    /// The stream's name tells.
    Stream,
    /// Whoever holds the type tells.
    Holder,
    Nobody,
}

/// What one field says.
#[derive(Default)]
struct FieldAttributes {
    subject: Option<Path>,
    encrypted: Option<Path>,
    mask: Option<Expr>,
    /// `subject = ".."`.
    of: Option<LitStr>,
}

impl Marks {
    pub(crate) fn none() -> Self {
        Self { fields: Vec::new(), whose: Whose::Nobody, is_transparent: false }
    }

    /// `whose` is what holds where no field is marked as the subject.
    pub(crate) fn read(fields: &FieldsNamed, rules: &FieldRules, whose: Whose, errors: &mut Errors) -> Self {
        let mut marks = Self { fields: Vec::new(), whose, is_transparent: rules.transparent.is_some() };
        for field in &fields.named {
            let Some(ident) = &field.ident else { continue };
            let attributes = FieldAttributes::read(field, errors);
            if let Some(subject) = &attributes.subject {
                marks.take_subject(ident, subject, errors);
            }
            let serde = SerdeField::read(field, rules);
            let mark = attributes.into_mark(&serde, errors);
            marks.fields.push(MarkedField { ident: ident.clone(), ty: field.ty.clone(), serde, mark });
        }
        marks.check(rules, errors);
        marks
    }

    fn take_subject(&mut self, ident: &Ident, subject: &Path, errors: &mut Errors) {
        match &self.whose {
            Whose::Field(first) => errors.add(
                subject,
                format!(
                    "`{first}` is the data subject already: name another one beside a single mark, \
                     `#[event(encrypted, subject = \"{ident}\")]`"
                ),
            ),
            Whose::Stream => errors.add(
                subject,
                "the name of the stream is the data subject already: remove this, or `stream_is_subject`",
            ),
            Whose::Holder | Whose::Nobody => self.whose = Whose::Field(ident.clone()),
        }
    }

    /// What can be told only once all fields are known.
    fn check(&self, rules: &FieldRules, errors: &mut Errors) {
        for of in self.marked().filter_map(|mark| mark.subject.as_ref()) {
            match self.named(of) {
                None => errors.add(
                    of,
                    format!("there is no field `{}`: name one that tells whom this is about", of.value()),
                ),
                Some(field) if field.mark.is_some() => errors.add(
                    of,
                    format!(
                        "the field `{}` is encrypted itself, and nobody could tell which key opens it: name one that is not",
                        field.ident
                    ),
                ),
                Some(_) => {}
            }
        }
        let mut marked = self.marked().peekable();
        if marked.peek().is_some()
            && let Some(key) = &rules.written_as_another
        {
            errors.add(
                key,
                "what is encrypted is found by the names of these fields, and serde writes another type: mark the fields of that one",
            );
        }
        if !matches!(self.whose, Whose::Nobody) {
            return;
        }
        for mark in marked.filter(|mark| mark.subject.is_none()) {
            errors.add(
                &mark.encrypted,
                "nobody tells whom this is about: mark the field that does, `#[event(subject)]`; name it here, \
                 `subject = \"..\"`; or where it is the stream's name, write `#[event(stream_is_subject)]` on the event",
            );
        }
    }

    /// The field of this name.
    pub(crate) fn named(&self, name: &LitStr) -> Option<&MarkedField> {
        self.fields.iter().find(|field| field.ident.unraw() == name.value())
    }

    /// The fields that are to be encrypted.
    pub(crate) fn marked(&self) -> impl Iterator<Item = &Mark> {
        self.fields.iter().filter_map(|field| field.mark.as_ref())
    }

    /// The fields whose types may have marks in them.
    pub(crate) fn unmarked(&self) -> impl Iterator<Item = &MarkedField> {
        self.fields.iter().filter(|field| field.mark.is_none() && !field.serde.is_never_written)
    }
}

impl FieldAttributes {
    fn read(field: &Field, errors: &mut Errors) -> Self {
        let mut found = Self::default();
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("event")) {
            if let Err(error) = attribute.parse_nested_meta(|meta| found.take(&meta)) {
                errors.push(error);
            }
        }
        found
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let key = meta.path.to_token_stream().to_string();
        match key.as_str() {
            "encrypted" => self.encrypted = Some(meta.path.clone()),
            "mask" => {
                let mask = meta.value()?.parse::<Expr>();
                self.mask = Some(mask.map_err(|error| {
                    let instead = "write a value, a constant or a call: anything longer gets a name, as a constant";
                    syn::Error::new(error.span(), instead)
                })?);
            }
            "subject" if meta.input.peek(Token![=]) => {
                let field = meta.value()?.parse::<LitStr>();
                self.of = Some(field.map_err(|error| {
                    syn::Error::new(error.span(), "write the name of a field in quotes: `subject = \"..\"`")
                })?);
            }
            "subject" => self.subject = Some(meta.path.clone()),
            _ => {
                return Err(meta.error(format!(
                    "unknown key `{key}`: a field takes `subject`, or `encrypted` with `mask = ..` and `subject = \"..\"`"
                )));
            }
        }
        Ok(())
    }

    fn into_mark(self, serde: &SerdeField, errors: &mut Errors) -> Option<Mark> {
        let Self { subject, encrypted, mask, of } = self;
        let Some(encrypted) = encrypted else {
            let instead = "this belongs beside `encrypted`: write `#[event(encrypted, ..)]`, or remove it";
            if let Some(mask) = &mask {
                errors.add(mask, instead);
            }
            if let Some(of) = &of {
                errors.add(of, instead);
            }
            return None;
        };
        if subject.is_some() {
            errors.add(
                &encrypted,
                "the data subject tells which key opens the rest, and cannot be encrypted itself: let it be an id that says nothing",
            );
        }
        if let Some(skip) = &serde.skip {
            errors.add(skip, "an encrypted field is written and read, always: remove this, or `encrypted`");
        }
        if let Some(flatten) = &serde.flatten {
            errors.add(
                flatten,
                "a field that is flattened has no place of its own to be encrypted at: remove this, or derive `Personal` for its type \
                 and mark the fields there",
            );
        }
        Some(Mark { encrypted, mask, subject: of })
    }
}
