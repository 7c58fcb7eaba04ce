//! The code that tells which fields are to be encrypted, for whom, and what they read as once that one was shredded.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Expr, ExprLit, GenericArgument, Ident, Lit, Path, PathArguments, Type, TypePath};

use crate::expand::{Support, place};
use crate::expand_enum::EnumExpansion;
use crate::marks::{Mark, MarkedField, Marks, Whose};
use crate::model::{Content, Variant};

/// What an event struct has: nothing, where it has no fields.
pub(crate) fn of_struct(marks: &Marks, support: &Support<'_>) -> TokenStream {
    if marks.fields.is_empty() {
        return TokenStream::new();
    }
    let (is_marked, pattern) = (is_marked(marks, support), pattern(marks));
    let body = collected(marks, support);
    quote! {
        const IS_MARKED: bool = #is_marked;

        fn marks(&self, marks: &mut #support::Marks) {
            let Self #pattern = self;
            #body
        }
    }
}

/// The implementation for a type within events.
pub(crate) fn of_personal(ident: &Ident, marks: &Marks, support: &Support<'_>) -> TokenStream {
    let (is_marked, needs_subject) = (is_marked(marks, support), needs_subject(marks, support));
    let (pattern, body, told) = (pattern(marks), collected(marks, support), told(marks, support));
    quote! {
        #[automatically_derived]
        impl #support::Personal for #ident {
            const IS_MARKED: bool = #is_marked;
            const NEEDS_SUBJECT: bool = #needs_subject;

            fn marks(&self, subject: &#support::Subject, marks: &mut #support::Marks) {
                let Self #pattern = self;
                #body
            }

            #support::for_the_schema_lock! {
                fn tell_marks(subject: &str, marks: &mut #support::MarkedFields) {
                    marks.of_type(::core::any::type_name::<Self>(), |marks| { #told });
                }
            }
        }
    }
}

/// Fails the build where a field's type leaves it to this event to name the subject, and it names none; and where what is marked
/// in it would not be found.
pub(crate) fn checks<'m>(
    all: impl IntoIterator<Item = &'m Marks>,
    support: &Support<'_>,
) -> Option<TokenStream> {
    let mut checks = Vec::new();
    for marks in all {
        let is_nobodys = matches!(marks.whose, Whose::Nobody);
        for MarkedField { ty, .. } in marks.unmarked() {
            let (span, support) = (place(ty), support.at(place(ty)));
            if is_nobodys {
                checks.push(quote_spanned! {span=>
                    #support::assert_has_subject(<#support::Marked<#ty>>::NEEDS_SUBJECT);
                });
            }
            checks.extend(written_within(ty).into_iter().map(|inner| {
                quote_spanned! {span=>
                    #support::assert_is_looked_into(
                        <#support::Marked<#inner>>::IS_MARKED || <#support::Marked<#inner>>::IS_MARKED_EVENT,
                        <#support::Marked<#ty>>::IS_MARKED,
                    );
                }
            }));
        }
    }
    (!checks.is_empty()).then(|| {
        quote! {
            const _: () = {
                #[allow(unused_imports, reason = "every type may have marks")]
                use #support::NotPersonal as _;
                #(#checks)*
            };
        }
    })
}

/// The type, and all that are written within it. None where one is `Self`, which has no name outside of the type.
fn written_within(ty: &Type) -> Vec<&Type> {
    let (mut all, mut next) = (vec![ty], 0);
    while let Some(ty) = all.get(next).copied() {
        if matches!(ty, Type::Path(path) if path.path.is_ident("Self")) {
            return Vec::new();
        }
        all.extend(parts(ty));
        next += 1;
    }
    all
}

fn parts(ty: &Type) -> Vec<&Type> {
    match ty {
        Type::Array(array) => vec![&*array.elem],
        Type::Slice(slice) => vec![&*slice.elem],
        Type::Reference(reference) => vec![&*reference.elem],
        Type::Paren(paren) => vec![&*paren.elem],
        Type::Group(group) => vec![&*group.elem],
        Type::Tuple(tuple) => tuple.elems.iter().collect(),
        Type::Path(TypePath { qself: None, path, .. }) => arguments(path),
        _ => Vec::new(),
    }
}

/// The types that a type is given. What is `PhantomData` holds nothing of them.
fn arguments(path: &Path) -> Vec<&Type> {
    let mut types = Vec::new();
    for segment in path.segments.iter().filter(|segment| segment.ident != "PhantomData") {
        let PathArguments::AngleBracketed(arguments) = &segment.arguments else { continue };
        types.extend(arguments.args.iter().filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        }));
    }
    types
}

impl EnumExpansion<'_> {
    /// What an event enum has: nothing, where no variant has fields.
    pub(crate) fn marks(&self) -> TokenStream {
        if self.variants.iter().all(|variant| matches!(variant.content, Content::Empty(_))) {
            return TokenStream::new();
        }
        let support = self.support;
        let is_marked = self.variants.iter().map(|Variant { content, .. }| match content {
            Content::Empty(_) => quote!(false),
            Content::Named { marks, .. } => is_marked(marks, support),
            Content::Gathered(ty) | Content::CatchAll(ty) => {
                let event = self.as_event(ty);
                quote!(#event::IS_MARKED)
            }
        });
        let arms = self.variants.iter().map(|variant| self.marks_of(variant));
        let keep_marks = self.keep_marks();
        quote! {
            const IS_MARKED: bool = false #(|| #is_marked)*;

            fn marks(&self, marks: &mut #support::Marks) {
                match self { #(#arms)* }
            }

            #keep_marks
        }
    }

    fn marks_of(&self, Variant { ident, content }: &Variant) -> TokenStream {
        match content {
            Content::Empty(_) => quote!(Self::#ident { .. } => {}),
            Content::Named { marks, .. } => {
                let (pattern, body) = (pattern(marks), collected(marks, self.support));
                let is_marked = is_marked(marks, self.support);
                // Other variants may be: of one that is not, not even the subject is asked for.
                quote!(Self::#ident #pattern => {
                    let __is_marked = #is_marked;
                    if __is_marked { #body }
                })
            }
            Content::Gathered(ty) | Content::CatchAll(ty) => {
                let event = self.as_event(ty);
                quote!(Self::#ident(event) => #event::marks(event, marks),)
            }
        }
    }

    /// What is passed on as it is keeps its marks.
    fn keep_marks(&self) -> Option<TokenStream> {
        let support = self.support;
        let holds_an_event =
            |variant: &Variant| matches!(variant.content, Content::Gathered(_) | Content::CatchAll(_));
        let arms = self.variants.iter().map(|Variant { ident, content }| match content {
            Content::Empty(_) | Content::Named { .. } => quote!(Self::#ident { .. } => {}),
            Content::Gathered(ty) | Content::CatchAll(ty) => {
                let event = self.as_event(ty);
                quote!(Self::#ident(event) => #event::keep_marks(event, kept),)
            }
        });
        self.variants.iter().any(holds_an_event).then(|| {
            quote! {
                fn keep_marks(&mut self, kept: &#support::KeptMarks) {
                    match self { #(#arms)* }
                }
            }
        })
    }
}

/// Whether there are marks in it.
fn is_marked(marks: &Marks, support: &Support<'_>) -> TokenStream {
    if marks.marked().next().is_some() {
        return quote!(true);
    }
    asked(marks, support, &format_ident!("IS_MARKED"))
}

/// Whether it leaves it to whoever holds it to name a subject.
fn needs_subject(marks: &Marks, support: &Support<'_>) -> TokenStream {
    if !matches!(marks.whose, Whose::Holder) {
        return quote!(false);
    }
    if marks.marked().any(|mark| mark.subject.is_none()) {
        return quote!(true);
    }
    asked(marks, support, &format_ident!("NEEDS_SUBJECT"))
}

/// Whether this is true of one of the fields' types.
fn asked(marks: &Marks, support: &Support<'_>, constant: &Ident) -> TokenStream {
    let types = marks.unmarked().map(|field| &field.ty);
    quote! {{
        #[allow(unused_imports, reason = "every type may have marks, and there may be no field")]
        use #support::NotPersonal as _;
        false #(|| <#support::Marked<#types>>::#constant)*
    }}
}

fn binding(number: usize) -> Ident {
    format_ident!("__field_{number}")
}

/// `{ field: __field_0, .. }`.
fn pattern(marks: &Marks) -> TokenStream {
    let fields = marks.fields.iter().enumerate().map(|(number, MarkedField { ident, .. })| {
        let binding = binding(number);
        quote!(#ident: #binding)
    });
    quote!({ #(#fields,)* .. })
}

/// Collects the marks of fields that are bound by [`pattern`].
fn collected(marks: &Marks, support: &Support<'_>) -> TokenStream {
    let subject = match &marks.whose {
        Whose::Field(ident) => subject_of(marks, support, |field| field.ident == *ident),
        // Where nobody tells, nobody asks.
        Whose::Stream | Whose::Nobody => quote!(#support::Subject::stream()),
        Whose::Holder => quote!(::core::clone::Clone::clone(subject)),
    };
    let fields = marks.fields.iter().enumerate().filter(|(_, field)| !field.serde.is_never_written);
    let fields = fields.map(|(number, field)| {
        let MarkedField { ty, serde, mark, .. } = field;
        let inner = match mark {
            Some(mark) => sealed(marks, field, mark, support),
            None => {
                let binding = binding(number);
                quote!(#support::Marked::<#ty>::new().marks(#binding, &__subject, marks);)
            }
        };
        let name = &serde.name;
        let inner = if serde.flatten.is_some() {
            quote!(marks.flattened(|marks| { #inner });)
        } else if marks.is_transparent {
            inner
        } else {
            quote!(marks.within(#name, |marks| { #inner });)
        };
        if mark.is_some() { inner } else { quote!(if <#support::Marked<#ty>>::IS_MARKED { #inner }) }
    });
    quote! {
        #[allow(unused_imports, reason = "every type may have marks")]
        use #support::NotPersonal as _;
        let __subject = #subject;
        let _ = &marks;
        #(#fields)*
    }
}

/// Tells the schema lock which fields are encrypted, for whom, and with which masks.
pub(crate) fn told(marks: &Marks, support: &Support<'_>) -> TokenStream {
    let place_of = |field: Option<&MarkedField>| {
        let name = field.map(|field| &field.serde.name);
        quote!(marks.place(#name))
    };
    let subject = match &marks.whose {
        Whose::Field(ident) => place_of(marks.fields.iter().find(|field| field.ident == *ident)),
        Whose::Stream | Whose::Nobody => quote!(::std::string::String::from("the stream's name")),
        Whose::Holder => quote!(::std::string::String::from(subject)),
    };
    let fields = marks.fields.iter().filter(|field| !field.serde.is_never_written).map(|field| {
        let MarkedField { ty, serde, mark, .. } = field;
        let inner = match mark {
            Some(mark) => {
                let mask = mask(field, mark, support);
                quote!(marks.encrypted(&__subject, &#mask);)
            }
            None => quote!(#support::Marked::<#ty>::new().tell_marks(&__subject, marks);),
        };
        let name = &serde.name;
        let inner = if serde.flatten.is_some() || marks.is_transparent {
            inner
        } else {
            quote!(marks.within(#name, |marks| { #inner });)
        };
        match mark.as_ref().and_then(|mark| mark.subject.as_ref()) {
            Some(name) => {
                let subject = place_of(marks.named(name));
                quote!({
                    let __subject = #subject;
                    #inner
                })
            }
            None => inner,
        }
    });
    quote! {
        #[allow(unused_imports, reason = "every type may have marks")]
        use #support::NotPersonal as _;
        let __subject = #subject;
        let _ = (&__subject, &marks);
        #(#fields)*
    }
}

/// The subject that a field tells.
fn subject_of(marks: &Marks, support: &Support<'_>, is_meant: impl Fn(&MarkedField) -> bool) -> TokenStream {
    let number = marks.fields.iter().position(is_meant).map(binding);
    quote!(#support::Subject::of(#number))
}

fn sealed(marks: &Marks, field: &MarkedField, mark: &Mark, support: &Support<'_>) -> TokenStream {
    let value = mask(field, mark, support);
    match &mark.subject {
        Some(name) => {
            let named =
                |field: &MarkedField| marks.named(name).is_some_and(|named| named.ident == field.ident);
            let subject = subject_of(marks, support, named);
            quote!(marks.seal(&#subject, &#value);)
        }
        None => quote!(marks.seal(&__subject, &#value);),
    }
}

/// The mask of a field, as what serde writes.
fn mask(field: &MarkedField, mark: &Mark, support: &Support<'_>) -> TokenStream {
    let ty = &field.ty;
    let mask = match &mark.mask {
        Some(mask) => {
            // Of a text, whatever can be made of it.
            let is_text = matches!(mask, Expr::Lit(ExprLit { lit: Lit::Str(_), .. }));
            let value = if is_text {
                quote_spanned!(place(mask)=> ::core::convert::From::from(#mask))
            } else {
                quote!(#mask)
            };
            quote!({
                fn mask() -> #ty {
                    #value
                }
                mask()
            })
        }
        None => {
            let (span, support) = (place(ty), support.at(place(ty)));
            quote_spanned!(span=> #support::default_mask::<#ty>())
        }
    };
    match &field.serde.written_with {
        Some(function) => quote!({
            struct Written(#ty);
            impl #support::Serialize for Written {
                fn serialize<S: #support::Serializer>(
                    &self,
                    serializer: S,
                ) -> ::core::result::Result<S::Ok, S::Error> {
                    #function(&self.0, serializer)
                }
            }
            Written(#mask)
        }),
        None => mask,
    }
}
