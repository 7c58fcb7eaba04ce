//! The code that is generated. It names the library's `__private` module only, and serde not at all.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, Path};

use crate::attributes::Stored;
use crate::expand_enum::EnumExpansion;
use crate::marks::Marks;
use crate::model::{Declaration, PersonalDeclaration, Shape};
use crate::{expand_forms, expand_marks, expand_tags};

/// The implementations for a declaration.
pub(crate) fn expand(declaration: &Declaration) -> TokenStream {
    let Declaration { ident, library, shape } = declaration;
    let support = Support(library);
    match shape {
        Shape::Struct { stored, is_empty, marks } => {
            let items = of_struct(ident, (stored, *is_empty), marks, &support);
            let (event, checks) =
                (implementation(ident, &support, &items), expand_marks::checks([marks], &support));
            quote!(#event #checks)
        }
        Shape::Enum { variants, splits } => {
            let expansion = EnumExpansion { ident, support: &support, variants, splits };
            let (event, checks) = (implementation(ident, &support, &expansion.items()), expansion.checks());
            let conversions = expansion.conversions();
            quote!(#event #checks #conversions)
        }
    }
}

/// The implementation for a type within events.
pub(crate) fn expand_personal(declaration: &PersonalDeclaration) -> TokenStream {
    let PersonalDeclaration { ident, library, marks } = declaration;
    let support = Support(library);
    let (personal, checks) =
        (expand_marks::of_personal(ident, marks, &support), expand_marks::checks([marks], &support));
    quote!(#personal #checks)
}

/// The module of the library that generated code calls.
pub(crate) struct Support<'a>(&'a Path);

impl Support<'_> {
    /// The module's path, written as if it stood at this span, so that what is wrong is reported there.
    pub(crate) fn at(&self, span: Span) -> TokenStream {
        let respanned = self.to_token_stream().into_iter().map(|mut token| {
            token.set_span(span);
            token
        });
        respanned.collect()
    }
}

impl ToTokens for Support<'_> {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let library = self.0;
        tokens.extend(quote!(#library::__private));
    }
}

/// The place of these tokens, for code whose names are those of generated code.
pub(crate) fn place(tokens: &impl ToTokens) -> Span {
    tokens.span().resolved_at(Span::call_site())
}

/// What the implementation consists of: the body of each item.
pub(crate) struct Items {
    pub(crate) names: TokenStream,
    pub(crate) catch_all: bool,
    /// Whether what it encodes is looked through.
    pub(crate) is_checked: TokenStream,
    pub(crate) event_name: TokenStream,
    pub(crate) encode: TokenStream,
    pub(crate) decode: TokenStream,
    /// What is not as the trait provides it.
    pub(crate) forms: TokenStream,
    /// What is to be encrypted.
    pub(crate) marks: TokenStream,
    /// What it is tagged with.
    pub(crate) tags: TokenStream,
}

fn implementation(ident: &Ident, support: &Support<'_>, items: &Items) -> TokenStream {
    let Items { names, catch_all, is_checked, event_name, encode, decode, forms, marks, tags } = items;
    quote! {
        #[automatically_derived]
        impl #support::Event for #ident {
            const NAMES: &'static [&'static str] = #names;
            const CATCH_ALL: bool = #catch_all;
            const IS_CHECKED: bool = #is_checked;

            fn event_name(&self) -> ::std::borrow::Cow<'static, str> {
                #event_name
            }

            fn encode(&self) -> ::core::result::Result<::std::string::String, #support::PayloadError> {
                #encode
            }

            fn decode(name: &str, data: &str) -> ::core::result::Result<Self, #support::DecodeError> {
                #decode
            }

            #forms

            #marks

            #tags
        }
    }
}

fn of_struct(
    ident: &Ident,
    (stored, is_empty): (&Stored, bool),
    marks: &Marks,
    support: &Support<'_>,
) -> Items {
    let names = &stored.names;
    let name = names.first();
    // A serde derive that is missing is reported where the type has its name.
    let (span, at_ident) = (place(ident), support.at(place(ident)));
    let encode = if is_empty {
        quote!(::core::result::Result::Ok(#support::encode_empty()))
    } else {
        quote_spanned!(span=> #at_ident::encode(self))
    };
    let decode = |data: &TokenStream| {
        if is_empty {
            quote!(#support::decode_empty(#data).map(|()| Self {}))
        } else {
            quote_spanned!(span=> #at_ident::decode(#data))
        }
    };
    let decoded = decode(&quote!(data));
    Items {
        names: quote!(&[#(#names),*]),
        catch_all: false,
        is_checked: quote!(true),
        event_name: quote!(::std::borrow::Cow::Borrowed(#name)),
        encode,
        decode: quote! {
            match name {
                #(#names)|* => #decoded,
                _ => ::core::result::Result::Err(#support::DecodeError::UnknownName),
            }
        },
        forms: expand_forms::of_struct(stored, (is_empty, marks), support, decode),
        marks: expand_marks::of_struct(marks, support),
        tags: expand_tags::of_struct(&stored.tags, marks, support),
    }
}
