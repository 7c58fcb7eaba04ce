#!/usr/bin/env bash
# eventsourcing 9.5.6 (PyPI) on SQLite: the number of an event in the log is the row id of a table without AUTOINCREMENT. Once the newest
# event is erased, by hand or for somebody's right to it, its number is given to the next one. Who reads on behind that number never gets
# the new event.
#
# Seen: the newest event has number 2
#       after it was erased, the next one has number 2
#       read by a follower behind 2: 0
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


def newest():
    return bank.notification_log.select(start=1, limit=10)[-1].id


bank = Application()
bank.save(Account("Ada"))
bank.save(Account("Grace"))
seen = newest()
print("the newest event has number", seen)
with sqlite3.connect(path) as database:
    database.execute("DELETE FROM stored_events WHERE rowid = ?", (seen,))
bank.save(Account("Joan"))
print("after it was erased, the next one has number", newest())
print(f"read by a follower behind {seen}:", len(bank.notification_log.select(start=seen + 1, limit=10)))
PYTHON
seen=$(cd "$folder" && venv/bin/python seen.py "$folder/events.db")
echo "$seen"
expected="the newest event has number 2
after it was erased, the next one has number 2
read by a follower behind 2: 0"
[ "$seen" = "$expected" ] || { echo "it behaves otherwise now" >&2; exit 1; }
