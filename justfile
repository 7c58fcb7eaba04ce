# What is done often. `just` lists it.
default:
    @just --list

# Everything: what the tests need, format, lints, tests, documentation.
test:
    scripts/test

# The tests of one crate: `just t sqlite`. Those of PostgreSQL, `cli` and `import` get a server; `nats`, `rabbitmq` and `webhook` are publishers.
t crate:
    {{ if crate =~ '^(nats|rabbitmq|webhook|cloudevents|openbao)$' { "bash -c '. scripts/bring.sh && bring_brokers' &&" } else if crate == "browser" { "bash -c '. scripts/bring.sh && bring_browser' &&" } else { "" } }} {{ if crate =~ '^(postgres|browser|cli|import)$' { "scripts/with-postgres --fast" } else { "" } }} cargo nextest run -p event-sourcery-{{ if crate =~ '^(nats|rabbitmq|webhook)$' { "publish-" } else { "" } }}{{crate}} --all-features

# Format and lints, fixed where they can be.
fix:
    cargo fmt --all
    cargo clippy --workspace --all-targets --all-features --fix --allow-dirty

# The documentation, in a browser.
doc:
    cargo doc --workspace --all-features --no-deps --open

# The figures of BENCHMARKS.md, measured anew: `just bench`, or `just bench load`.
bench *names:
    scripts/bench {{names}}

# The main ratios of all parts, in a few minutes: fails where one is below its goal.
bench-check:
    scripts/bench --check

# The library beside other event stores.
bench-peers *names:
    scripts/bench-peers {{names}}

# Hours instead of seconds: more kills, more cuts, more sequences.
soak:
    scripts/soak

# Licences, advisories and doubled dependencies.
deny:
    cargo deny check

# What a release has to pass besides the tests.
release-check *commit:
    scripts/release-check {{commit}}
