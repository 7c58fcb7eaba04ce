//! Numbers at the ends of their types. They prove what a type takes, and an upcaster that checks its sums refuses them.

/// What is sampled as the end of a type, or as far out.
const ENDS: &[&str] = &[
    "127",
    "-128",
    "255",
    "32767",
    "-32768",
    "65535",
    "2147483647",
    "-2147483648",
    "4294967295",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "79228162514264337593543950335",
    "170141183460469231731687303715884105727",
    "-170141183460469231731687303715884105728",
    "340282366920938463463374607431768211455",
    "1e30",
    "1e+30",
];

/// The longest of them has one more.
const MOST_CUT: usize = 38;

/// A sample with those of its ends that are refused nearer to zero: no nearer than it takes, a digit less each time. `None`
/// where it is refused all the same.
pub(super) fn nearer(json: &str, is_refused: impl Fn(&str) -> bool) -> Option<String> {
    let count = runs(json).filter(|(run, _)| ENDS.contains(run)).count();
    if count == 0 {
        return None;
    }
    let mut cuts =
        (1..=MOST_CUT).map(|cut| vec![cut; count]).find(|cuts| !is_refused(&with_cuts(json, cuts)))?;
    for place in 0..count {
        let mut with_this = cuts.clone();
        if let Some(cut) = with_this.get_mut(place) {
            *cut = 0;
        }
        if !is_refused(&with_cuts(json, &with_this)) {
            cuts = with_this;
        }
    }
    Some(with_cuts(json, &cuts))
}

/// A JSON text in which each of the ends, in order, has so many digits less.
fn with_cuts(json: &str, cuts: &[usize]) -> String {
    let mut cuts = cuts.iter();
    let cut = |(run, behind): (&str, &str)| match ENDS.contains(&run).then(|| cuts.next()).flatten() {
        Some(digits) if *digits > 0 => with_cut(run, *digits) + behind,
        _ => format!("{run}{behind}"),
    };
    runs(json).map(cut).collect()
}

fn with_cut(end: &str, digits: usize) -> String {
    if end.contains('e') {
        return format!("1e{}", 30_usize.saturating_sub(digits));
    }
    let least = if end.starts_with('-') { 2 } else { 1 };
    end.chars().take(end.len().saturating_sub(digits).max(least)).collect()
}

/// What may be a number, in a text or not, each with what stands behind it.
fn runs(json: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_between = |c: char| !c.is_alphanumeric() && !matches!(c, '-' | '+' | '.');
    json.split_inclusive(is_between).map(move |part| part.split_at(part.trim_end_matches(is_between).len()))
}

#[cfg(test)]
mod tests {
    use super::nearer;

    #[test]
    fn only_what_is_refused_comes_nearer_and_no_nearer_than_it_takes() {
        let json = r#"{"a":18446744073709551615,"b":[-128],"c":"65535","d":1234567}"#;
        let refuses_a = |json: &str| json.contains("1844674407370955");
        let all_but_a = r#"{"a":184467440737095,"b":[-128],"c":"65535","d":1234567}"#;
        assert_eq!(nearer(json, refuses_a).as_deref(), Some(all_but_a));
        let refuses_b_and_c = |json: &str| json.contains("-12") || json.contains("65");
        let all_but_those = r#"{"a":18446744073709551615,"b":[-1],"c":"6","d":1234567}"#;
        assert_eq!(nearer(json, refuses_b_and_c).as_deref(), Some(all_but_those));
    }

    #[test]
    fn what_is_refused_all_the_same_has_nothing_nearer() {
        assert_eq!(nearer(r#"{"a":-128,"b":1e+30}"#, |json| json.contains('-')), None);
        assert_eq!(nearer(r#"{"a":1,"b":"-255-"}"#, |_| false), None);
        assert_eq!(
            nearer(r#"{"a":[1e+30,0]}"#, |json| json.contains("1e2") || json.contains("30")).as_deref(),
            Some(r#"{"a":[1e19,0]}"#)
        );
    }
}
