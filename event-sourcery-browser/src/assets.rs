//! What pages are shown with: a sheet of styles, a script, and an icon.

/// An asset by its name: its media type, and what it is.
pub(crate) fn asset(name: &str) -> Option<(&'static str, &'static str)> {
    match name {
        "icon.svg" => Some(("image/svg+xml", include_str!("assets/icon.svg"))),
        "live.js" => Some(("text/javascript; charset=utf-8", include_str!("assets/live.js"))),
        "style.css" => Some(("text/css; charset=utf-8", include_str!("assets/style.css"))),
        _ => None,
    }
}
