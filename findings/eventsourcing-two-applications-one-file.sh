#!/usr/bin/env bash
# eventsourcing 9.5.6 (PyPI) on SQLite: two applications that are given the same file share one log. The table's name is always
# `stored_events`, and no column says which application wrote a row. So whoever follows one of them is handed the events of both, and
# whoever imports has only the type's name to go by. On PostgreSQL each application has a table of its own.
#
# Seen: columns: originator_id originator_version topic state
#       events that the shop's log has of the bank: 1
#
# Needs Python; everything else is in a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check eventsourcing==9.5.6
cat >"$folder/seen.py" <<'PYTHON'
import os
import sqlite3
import sys

path = sys.argv[1]
os.environ |= {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": path}

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Account(Aggregate):
    @event("Opened")
    def __init__(self, owner):
        self.owner = owner


class Bank(Application):
    pass


class Shop(Application):
    pass


bank, shop = Bank(), Shop()
bank.save(Account("Ada"))
columns = sqlite3.connect(path).execute("SELECT name FROM pragma_table_info('stored_events')")
print("columns:", *(name for (name,) in columns))
print("events that the shop's log has of the bank:", len(shop.notification_log.select(start=1, limit=10)))
PYTHON
seen=$(cd "$folder" && venv/bin/python seen.py "$folder/events.db")
echo "$seen"
expected="columns: originator_id originator_version topic state
events that the shop's log has of the bank: 1"
[ "$seen" = "$expected" ] || { echo "it behaves otherwise now" >&2; exit 1; }
