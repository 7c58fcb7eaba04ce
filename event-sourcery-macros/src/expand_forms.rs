//! The code for stored forms: the version of the current one, how older ones become it, and what the schema lock traces.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Ident, LitInt, Type};

use crate::attributes::Stored;
use crate::expand::{Support, place};
use crate::expand_enum::EnumExpansion;
use crate::expand_marks;
use crate::marks::Marks;
use crate::model::{Content, Variant};
use crate::upcasts::Split;

/// What a struct has beyond what the trait provides: without steps, nothing but its trace.
pub(crate) fn of_struct(
    stored: &Stored,
    (is_empty, marks): (bool, &Marks),
    support: &Support<'_>,
    decode: impl Fn(&TokenStream) -> TokenStream,
) -> TokenStream {
    let traced = trace_own(stored, (!is_empty).then_some((None, marks)), support);
    let forms = for_the_schema_lock(support, &[traced]);
    if stored.steps.is_empty() {
        return forms;
    }
    let (names, version) = (&stored.names, version(stored));
    let decode = upcast(stored, support, &decode(&quote!(&data)));
    let decode_stored = decode_stored(
        support,
        &quote! {
            match name {
                #(#names)|* => #decode,
                _ => ::core::result::Result::Err(#support::DecodeError::UnknownName),
            }
        },
    );
    quote! {
        fn schema_version(&self) -> u32 {
            #version
        }

        #decode_stored
        #forms
    }
}

impl EnumExpansion<'_> {
    /// What an enum has beyond what the trait provides: where its variants have one form each, nothing but its trace.
    pub(crate) fn forms(&self) -> TokenStream {
        let forms = self.trace();
        let has_one_form = |variant: &Variant| match &variant.content {
            Content::Empty(stored) | Content::Named { stored, .. } => stored.steps.is_empty(),
            Content::Gathered(_) | Content::CatchAll(_) => false,
        };
        if self.splits.is_empty() && self.variants.iter().all(has_one_form) {
            return forms;
        }
        let versions = self.variants.iter().map(|variant| self.schema_version(variant));
        let split = self.split();
        let arms = self.catch_all_last().map(|variant| self.decode_stored_arm(variant));
        let otherwise = self.otherwise();
        let decode_stored = decode_stored(self.support, &quote!(match name { #split #(#arms)* #otherwise }));
        quote! {
            fn schema_version(&self) -> u32 {
                match self { #(#versions)* }
            }

            #decode_stored
            #forms
        }
    }

    fn schema_version(&self, Variant { ident, content }: &Variant) -> TokenStream {
        match content {
            Content::Empty(stored) | Content::Named { stored, .. } => {
                let version = version(stored);
                quote!(Self::#ident { .. } => #version,)
            }
            Content::Gathered(ty) | Content::CatchAll(ty) => {
                let event = self.as_event(ty);
                quote!(Self::#ident(event) => #event::schema_version(event),)
            }
        }
    }

    /// A name that is split leads to the arm of the event that it has become.
    fn split(&self) -> Option<TokenStream> {
        if self.splits.is_empty() {
            return None;
        }
        let (support, names) = (self.support, self.split_names());
        let splits = self.splits.iter().map(|Split { name, steps, function }| {
            quote!(#support::SplitName { name: #name, steps: &[#(#steps),*], split: #function })
        });
        Some(quote! {
            #(#names)|* => {
                let splits: &[#support::SplitName] = &[#(#splits),*];
                let (name, schema_version, data) =
                    #support::split(name, schema_version, data, splits, <Self as #support::Event>::NAMES)?;
                <Self as #support::Event>::decode_stored(&name, schema_version, &data)
            }
        })
    }

    fn decode_stored_arm(&self, Variant { ident, content }: &Variant) -> TokenStream {
        let support = self.support;
        match content {
            Content::Empty(stored) | Content::Named { stored, .. } => {
                let names = &stored.names;
                let decode = upcast(stored, support, &self.decode_own(ident, content, &quote!(&data)));
                quote!(#(#names)|* => #decode,)
            }
            Content::Gathered(ty) => {
                let event = self.as_event(ty);
                quote! {
                    _ if #event::NAMES.contains(&name) => {
                        #event::decode_stored(name, schema_version, data).map(Self::#ident)
                    }
                }
            }
            Content::CatchAll(ty) => {
                // A type other than `RawEvent` is reported where it stands.
                let raw = Ident::new("raw", place(ty));
                quote! {
                    _ => match <#support::RawEvent as #support::Event>::decode_stored(name, schema_version, data) {
                        ::core::result::Result::Ok(#raw) => ::core::result::Result::Ok(Self::#ident(#raw)),
                        ::core::result::Result::Err(error) => ::core::result::Result::Err(error),
                    },
                }
            }
        }
    }

    fn trace(&self) -> TokenStream {
        let traced = self.variants.iter().filter_map(|Variant { content, .. }| match content {
            Content::Empty(stored) => Some(trace_own(stored, None, self.support)),
            Content::Named { stored, index, marks } => {
                Some(trace_own(stored, Some((Some(*index), marks)), self.support))
            }
            Content::Gathered(ty) => Some(self.trace_gathered(ty)),
            Content::CatchAll(_) => None,
        });
        let splits = (!self.splits.is_empty()).then(|| {
            let names = self.split_names();
            quote!(forms.split::<Self>(&[#(#names),*]);)
        });
        let traced: Vec<_> = traced.chain(splits).collect();
        for_the_schema_lock(self.support, &traced)
    }

    fn trace_gathered(&self, ty: &Type) -> TokenStream {
        let event = self.as_event(ty);
        quote!(#event::forms(forms);)
    }
}

fn version(stored: &Stored) -> LitInt {
    LitInt::new(&format!("{}u32", stored.steps.len() + 1), proc_macro2::Span::call_site())
}

/// Brings a payload into the current form, and decodes it, as `data`.
fn upcast(stored: &Stored, support: &Support<'_>, decode: &TokenStream) -> TokenStream {
    let steps = &stored.steps;
    quote! {{
        // Not a constant, in which `Self` would mean nothing.
        let steps: &[#support::Upcaster] = &[#(#steps),*];
        let data = #support::upcast(name, schema_version, data, steps)?;
        #decode
    }}
}

fn decode_stored(support: &Support<'_>, body: &TokenStream) -> TokenStream {
    quote! {
        fn decode_stored(
            name: &str,
            schema_version: u32,
            data: &str,
        ) -> ::core::result::Result<Self, #support::DecodeError> {
            #body
        }
    }
}

/// `fields`: none for an event without fields, and within it the index of a variant, none for a struct.
fn trace_own(stored: &Stored, fields: Option<(Option<u32>, &Marks)>, support: &Support<'_>) -> TokenStream {
    let (names, version) = (&stored.names, version(stored));
    let by_serde = quote!((&#support::ReadBySerde::<Self>::new()));
    let Some((variant, marks)) = fields else {
        return quote!(forms.no_fields::<Self>(&[#(#names),*], #version););
    };
    let told = expand_marks::told(marks, support);
    match variant {
        None => quote!(#by_serde.fields(forms, &[#(#names),*], #version, |marks| { #told });),
        Some(index) => quote!(#by_serde.variant(forms, &[#(#names),*], #version, #index, |marks| { #told });),
    }
}

fn for_the_schema_lock(support: &Support<'_>, traced: &[impl ToTokens]) -> TokenStream {
    quote! {
        #support::for_the_schema_lock! {
            fn forms(forms: &mut #support::Forms) {
                #[allow(unused_imports, reason = "an enum may have no event of its own")]
                use #support::{NotTraced as _, Traced as _};
                #(#traced)*
            }
        }
    }
}
