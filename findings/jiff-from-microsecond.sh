#!/usr/bin/env bash
# jiff 1.0.1: a timestamp in the last second of jiff's range does not come back from its own microseconds. `as_microsecond` of
# `Timestamp::MAX` is 253402207200999999, and `from_microsecond` refuses that number; so it does each of that second but the
# first. `Timestamp::new(seconds, nanoseconds)` takes them all. Whoever cuts times to microseconds with the pair loses these.
#
# Seen: max 9999-12-30T22:00:00.999999999Z, 253402207200999999 us: back is an error
#       the second's beginning, 253402207200000000 us: back
#
# Needs cargo; everything else is in a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "seen"
version = "0.0.0"
edition = "2024"
[dependencies]
jiff = { version = "=1.0.1", default-features = false, features = ["std"] }
[workspace]
TOML
cat >"$folder/src/main.rs" <<'RUST'
use jiff::Timestamp;

fn main() {
    let max = Timestamp::MAX;
    let back = Timestamp::from_microsecond(max.as_microsecond());
    let told = if back.is_err() { "back is an error" } else { "back" };
    println!("max {max}, {} us: {told}", max.as_microsecond());
    let beginning = max.as_second() * 1_000_000;
    assert!(Timestamp::from_microsecond(beginning).is_ok());
    println!("the second's beginning, {beginning} us: back");
    assert!(Timestamp::new(max.as_second(), max.subsec_nanosecond() / 1_000 * 1_000).is_ok());
}
RUST
seen=$(cargo run --quiet --manifest-path "$folder/Cargo.toml")
echo "$seen"
expected="max 9999-12-30T22:00:00.999999999Z, 253402207200999999 us: back is an error
the second's beginning, 253402207200000000 us: back"
[ "$seen" = "$expected" ] || { echo "it behaves otherwise now" >&2; exit 1; }
