#!/usr/bin/env bash
# axum 0.8.9: a router that answers by its fallback alone may be nested under a path, and its fallback answers there. Where the router that
# it is nested in is nested itself, the fallback is lost: the same requests get 404. With `route("/{*path}", ..)` in its place the router
# answers at both depths. A library that hands out a router does not know how deep it will be mounted, so it should have routes.
#
# Seen: fallback, nested once: 200
#       fallback, nested twice: 404
#       route, nested once: 200
#       route, nested twice: 200
#
# Needs Cargo; everything else is in a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<TOML
[package]
name = "nested"
version = "0.0.0"
edition = "2024"
[dependencies]
axum = { version = "=0.8.9", default-features = false }
tokio = { version = "1", features = ["macros", "rt"] }
tower = { version = "0.5", features = ["util"] }
[workspace]
TOML
cat >"$folder/src/main.rs" <<'RUST'
use axum::{Router, body::Body, http::Request, routing::any};
use tower::ServiceExt;

async fn page() -> &'static str {
    "a page"
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let kinds: [(&str, fn() -> Router); 2] =
        [("fallback", || Router::new().fallback(page)), ("route", || Router::new().route("/{*path}", any(page)))];
    for (kind, inner) in kinds {
        let once = Router::new().nest("/inner", inner());
        let twice = Router::new().nest("/outer", Router::new().nest("/inner", inner()));
        for (depth, router, at) in [("once", once, "/inner/page"), ("twice", twice, "/outer/inner/page")] {
            let answer = router.oneshot(Request::get(at).body(Body::empty()).unwrap()).await.unwrap();
            println!("{kind}, nested {depth}: {}", answer.status().as_u16());
        }
    }
}
RUST
seen=$(cd "$folder" && cargo run --quiet)
echo "$seen"
expected="fallback, nested once: 200
fallback, nested twice: 404
route, nested once: 200
route, nested twice: 200"
[ "$seen" = "$expected" ] || { echo "axum behaves differently now" >&2; exit 1; }
