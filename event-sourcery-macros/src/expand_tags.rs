//! The code that collects an event's tags.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;
use syn::ext::IdentExt as _;

use crate::expand::Support;
use crate::expand_enum::EnumExpansion;
use crate::marks::Marks;
use crate::model::{Content, Variant};
use crate::tags::TaggedField;

/// What an event struct has: nothing, where no field is a tag.
pub(crate) fn of_struct(tags: &[TaggedField], marks: &Marks, support: &Support<'_>) -> TokenStream {
    if tags.is_empty() {
        return TokenStream::new();
    }
    let (fields, names) = (tags.iter().map(|tag| &tag.field), tags.iter().map(|tag| &tag.name));
    let check = check(tags, marks, support);
    quote! {
        fn tags(&self, tags: &mut #support::Tags) {
            #check
            #(tags.add(#names, &self.#fields);)*
        }
    }
}

/// Fails the build where something in a tagged field is to be encrypted.
fn check(tags: &[TaggedField], marks: &Marks, support: &Support<'_>) -> TokenStream {
    let fields = tags.iter().filter_map(|tag| marks.fields.iter().find(|field| field.ident == tag.field));
    let types = fields.map(|field| &field.ty);
    quote! {
        #[allow(unused_imports, reason = "every type may have marks, and there may be no tag")]
        use #support::NotPersonal as _;
        #(const { #support::assert_stands_open(<#support::Marked<#types>>::IS_MARKED) };)*
    }
}

impl EnumExpansion<'_> {
    /// What an event enum has: nothing, where no variant has tags or holds an event.
    pub(crate) fn tags(&self) -> TokenStream {
        let has_tags = |variant: &Variant| match &variant.content {
            Content::Empty(stored) | Content::Named { stored, .. } => !stored.tags.is_empty(),
            Content::Gathered(_) | Content::CatchAll(_) => true,
        };
        if !self.variants.iter().any(has_tags) {
            return TokenStream::new();
        }
        let support = self.support;
        let arms = self.variants.iter().map(|variant| self.tags_of(variant));
        let keep_tags = self.keep_tags();
        quote! {
            fn tags(&self, tags: &mut #support::Tags) {
                match self { #(#arms)* }
            }

            #keep_tags
        }
    }

    /// What is passed on as it is keeps its tags.
    fn keep_tags(&self) -> Option<TokenStream> {
        let support = self.support;
        let holds_an_event =
            |variant: &Variant| matches!(variant.content, Content::Gathered(_) | Content::CatchAll(_));
        let arms = self.variants.iter().map(|Variant { ident, content }| match content {
            Content::Empty(_) | Content::Named { .. } => quote!(Self::#ident { .. } => {}),
            Content::Gathered(ty) | Content::CatchAll(ty) => {
                let event = self.as_event(ty);
                quote!(Self::#ident(event) => #event::keep_tags(event, kept),)
            }
        });
        self.variants.iter().any(holds_an_event).then(|| {
            quote! {
                fn keep_tags(&mut self, kept: &[#support::Tag]) {
                    match self { #(#arms)* }
                }
            }
        })
    }

    fn tags_of(&self, Variant { ident, content }: &Variant) -> TokenStream {
        match content {
            Content::Empty(_) => quote!(Self::#ident { .. } => {}),
            Content::Named { stored, marks, .. } => {
                let check = check(&stored.tags, marks, self.support);
                let binding = |field: &Ident| format_ident!("__tag_{}", field.unraw());
                // A pattern names a field once, however many tags it gives.
                let fields: BTreeSet<_> = stored.tags.iter().map(|tag| &tag.field).collect();
                let bound = fields.iter().map(|field| binding(field));
                let fields = fields.iter();
                let names = stored.tags.iter().map(|tag| &tag.name);
                let added = stored.tags.iter().map(|tag| binding(&tag.field));
                quote!(Self::#ident { #(#fields: #bound,)* .. } => {
                    #check
                    #(tags.add(#names, #added);)*
                })
            }
            Content::Gathered(ty) | Content::CatchAll(ty) => {
                let event = self.as_event(ty);
                quote!(Self::#ident(event) => #event::tags(event, tags),)
            }
        }
    }
}
