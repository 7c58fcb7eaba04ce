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

#[cfg(test)]
mod tests {
    use super::*;

    /// How light a colour is, as the guidelines for accessible content (WCAG 2) reckon.
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let part = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.212_6 * part(1) + 0.715_2 * part(3) + 0.072_2 * part(5)
    }

    #[test]
    fn what_is_to_be_read_stands_out_in_the_light_and_in_the_dark() {
        let (_, sheet) = asset("style.css").unwrap();
        let schemes: Vec<&str> = sheet.split(":root {").skip(1).collect();
        assert_eq!(schemes.len(), 2, "a light one and a dark one");
        for scheme in schemes {
            let colour = |name: &str| scheme.split(&format!("--{name}: ")).nth(1).unwrap().get(..7).unwrap();
            for (name, least) in
                [("ink", 4.5), ("quiet", 4.5), ("accent", 4.5), ("trouble", 4.5), ("edge", 3.0)]
            {
                for ground in ["ground", "raised"] {
                    let [one, other] = [name, ground].map(|name| luminance(colour(name)));
                    let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                    assert!(contrast >= least, "{name} on {ground}: {contrast:.2}");
                }
            }
        }
    }
}
