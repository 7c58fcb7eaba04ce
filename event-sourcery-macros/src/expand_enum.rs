//! The code for an enum: an arm a variant in each function, and the checks that need the types' own names.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Ident, LitStr, Type};

use crate::expand::{Items, Support, place};
use crate::expand_marks;
use crate::marks::Marks;
use crate::model::{Content, Variant};
use crate::upcasts::Split;

pub(crate) struct EnumExpansion<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) support: &'a Support<'a>,
    pub(crate) variants: &'a [Variant],
    pub(crate) splits: &'a [Split],
}

impl EnumExpansion<'_> {
    pub(crate) fn items(&self) -> Items {
        let event_name = self.variants.iter().map(|variant| self.event_name(variant));
        let encode = self.variants.iter().map(|variant| self.encode(variant));
        let decode = self.catch_all_last().map(|variant| self.decode(variant));
        let support = self.support;
        // The catch-all takes every other name; a name that is split has no current form.
        let split = self.split_names().next().map(|_| {
            let names = self.split_names();
            quote!(#(#names)|* => ::core::result::Result::Err(#support::DecodeError::UnknownName),)
        });
        let otherwise = self.otherwise();
        Items {
            names: self.names(),
            catch_all: self.has_catch_all(),
            is_checked: self.is_checked(),
            event_name: quote!(match self { #(#event_name)* }),
            encode: quote!(match self { #(#encode)* }),
            decode: quote!(match name { #split #(#decode)* #otherwise }),
            forms: self.forms(),
            marks: self.marks(),
            tags: self.tags(),
        }
    }

    /// The variants in the order in which a name is looked for.
    pub(crate) fn catch_all_last(&self) -> impl Iterator<Item = &Variant> {
        let is_catch_all = |variant: &&Variant| matches!(variant.content, Content::CatchAll(_));
        let named = self.variants.iter().filter(move |variant| !is_catch_all(variant));
        named.chain(self.variants.iter().filter(is_catch_all))
    }

    fn has_catch_all(&self) -> bool {
        self.variants.iter().any(|variant| matches!(variant.content, Content::CatchAll(_)))
    }

    /// Whether all that it gathers are.
    fn is_checked(&self) -> TokenStream {
        let gathered = self.gathered().map(|(_, ty)| self.as_event(ty));
        quote!(true #(&& #gathered::IS_CHECKED)*)
    }

    pub(crate) fn split_names(&self) -> impl Iterator<Item = &LitStr> {
        self.splits.iter().map(|split| &split.name)
    }

    /// The last arm of a match on names.
    pub(crate) fn otherwise(&self) -> Option<TokenStream> {
        let support = self.support;
        (!self.has_catch_all())
            .then(|| quote!(_ => ::core::result::Result::Err(#support::DecodeError::UnknownName),))
    }

    /// A conversion from the type of each gathered event.
    pub(crate) fn conversions(&self) -> TokenStream {
        let ident = self.ident;
        let conversions = self.gathered().map(|(variant, ty)| {
            quote! {
                #[automatically_derived]
                impl ::core::convert::From<#ty> for #ident {
                    fn from(event: #ty) -> Self {
                        Self::#variant(event)
                    }
                }
            }
        });
        quote!(#(#conversions)*)
    }

    /// The marks of the variants with fields.
    fn all_marks(&self) -> impl Iterator<Item = &Marks> {
        self.variants.iter().filter_map(|variant| match &variant.content {
            Content::Named { marks, .. } => Some(marks),
            _ => None,
        })
    }

    /// What only the compiler knows: what [`name_checks`](Self::name_checks) finds, and whether what is encrypted has a subject.
    pub(crate) fn checks(&self) -> TokenStream {
        let (names, subjects) = (self.name_checks(), expand_marks::checks(self.all_marks(), self.support));
        quote!(#names #subjects)
    }

    /// What only the compiler knows: whether the gathered types' names clash, and whether one of them decodes all.
    fn name_checks(&self) -> Option<TokenStream> {
        self.gathered().next()?;
        let catch_alls = self.gathered().map(|(variant, ty)| {
            let (event, variant) = (self.as_event(ty), variant.to_string());
            let (span, support) = (place(ty), self.support.at(place(ty)));
            quote_spanned!(span=> #support::assert_names_its_events(#variant, #event::CATCH_ALL);)
        });
        let names = self.variants.iter().filter_map(|variant| {
            let (list, variant) = (self.name_list(variant)?, variant.ident.to_string());
            Some(quote!((#variant, #list)))
        });
        let splits = self.split_names().map(|name| {
            let owner = format!("upcast({name:?} = ..)", name = name.value());
            quote!((#owner, &[#name]))
        });
        let names = names.chain(splits);
        let (span, support) = (place(self.ident), self.support.at(place(self.ident)));
        let ident = self.ident;
        let total = quote!({ <#ident as #support::Event>::NAMES.len() });
        let names = quote_spanned!(span=> #support::assert_distinct::<#total>(&[#(#names),*]););
        Some(quote!(const _: () = { #(#catch_alls)* #names };))
    }

    fn gathered(&self) -> impl Iterator<Item = (&Ident, &Type)> {
        self.variants.iter().filter_map(|variant| match &variant.content {
            Content::Gathered(ty) => Some((&variant.ident, ty)),
            _ => None,
        })
    }

    fn names(&self) -> TokenStream {
        if self.gathered().next().is_none() {
            let names = self.variants.iter().flat_map(|variant| variant.content.names());
            let names = names.chain(self.split_names());
            return quote!(&[#(#names),*]);
        }
        let (support, split) = (self.support, self.split_names());
        let lists = self.variants.iter().filter_map(|variant| self.name_list(variant));
        let lists = lists.chain(std::iter::once(quote!(&[#(#split),*])));
        quote! {{
            const LISTS: &[&[&str]] = &[#(#lists),*];
            &#support::concat::<{ #support::count(LISTS) }>(LISTS)
        }}
    }

    /// The names that a variant decodes, if it says which.
    fn name_list(&self, variant: &Variant) -> Option<TokenStream> {
        match &variant.content {
            Content::Empty(_) | Content::Named { .. } => {
                let names = variant.content.names();
                Some(quote!(&[#(#names),*]))
            }
            Content::Gathered(ty) => {
                let event = self.as_event(ty);
                Some(quote!(#event::NAMES))
            }
            Content::CatchAll(_) => None,
        }
    }

    fn event_name(&self, Variant { ident, content }: &Variant) -> TokenStream {
        match content {
            Content::Empty(stored) | Content::Named { stored, .. } => {
                let name = stored.names.first();
                quote!(Self::#ident { .. } => ::std::borrow::Cow::Borrowed(#name),)
            }
            Content::Gathered(ty) | Content::CatchAll(ty) => {
                let event = self.as_event(ty);
                quote!(Self::#ident(event) => #event::event_name(event),)
            }
        }
    }

    fn encode(&self, Variant { ident, content }: &Variant) -> TokenStream {
        let support = self.support;
        match content {
            Content::Empty(_) => {
                quote!(Self::#ident { .. } => ::core::result::Result::Ok(#support::encode_empty()),)
            }
            Content::Named { index, .. } => {
                let (span, support) = (place(self.ident), support.at(place(self.ident)));
                let encode = quote_spanned!(span=> #support::encode_variant(#index, self));
                quote!(Self::#ident { .. } => #encode,)
            }
            Content::Gathered(ty) | Content::CatchAll(ty) => {
                let event = self.as_event(ty);
                quote!(Self::#ident(event) => #event::encode(event),)
            }
        }
    }

    fn decode(&self, Variant { ident, content }: &Variant) -> TokenStream {
        let support = self.support;
        match content {
            Content::Empty(_) | Content::Named { .. } => {
                let (names, decode) = (content.names(), self.decode_own(ident, content, &quote!(data)));
                quote!(#(#names)|* => #decode,)
            }
            Content::Gathered(ty) => {
                let event = self.as_event(ty);
                quote! {
                    _ if #event::NAMES.contains(&name) => #event::decode(name, data).map(Self::#ident),
                }
            }
            Content::CatchAll(ty) => {
                // A type other than `RawEvent` is reported where it stands.
                let raw = Ident::new("raw", place(ty));
                quote! {
                    _ => match <#support::RawEvent as #support::Event>::decode(name, data) {
                        ::core::result::Result::Ok(#raw) => ::core::result::Result::Ok(Self::#ident(#raw)),
                        ::core::result::Result::Err(error) => ::core::result::Result::Err(error),
                    },
                }
            }
        }
    }

    /// A variant that is an event, from its payload in the current form.
    pub(crate) fn decode_own(&self, ident: &Ident, content: &Content, data: &TokenStream) -> TokenStream {
        let support = self.support;
        match content {
            Content::Named { index, .. } => {
                let (span, support) = (place(self.ident), support.at(place(self.ident)));
                quote_spanned!(span=> #support::decode_variant(#index, #data))
            }
            _ => quote!(#support::decode_empty(#data).map(|()| Self::#ident {})),
        }
    }

    pub(crate) fn as_event(&self, ty: &Type) -> TokenStream {
        let support = self.support.at(place(ty));
        quote_spanned!(place(ty)=> <#ty as #support::Event>)
    }
}
