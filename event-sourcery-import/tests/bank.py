"""A bank on eventsourcing, driven line by line: each line is a command, and each is answered by one line.

The database comes as an address, and is told to the library as its environment.
"""

import itertools
import os
import sys
import threading
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

address, *options = sys.argv[1:]
if address.startswith("postgres"):
    parts = urlsplit(address)
    os.environ |= {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.removeprefix("/"),
        "POSTGRES_HOST": parts.hostname or parse_qs(parts.query)["host"][0],
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_USER": parts.username or "postgres",
        "POSTGRES_PASSWORD": parts.password or "none",
    }
else:
    os.environ |= {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": address}
os.environ |= dict(option.split("=") for option in options)

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Account(Aggregate):
    @event("Opened")
    def __init__(self, owner):
        self.owner = owner

    @event("Deposited")
    def deposit(self, amount):
        self.amount = amount


class Bank(Application):
    is_snapshotting_enabled = True


bank = Bank()
is_over = threading.Event()


def opened(owner, deposits):
    account = Account(owner)
    for number in range(deposits):
        account.deposit(Decimal("1.10") * number)
    bank.save(account)
    return account.id


def write():
    """Accounts of several events, one after the other, each saved in steps."""
    for number in itertools.count():
        if is_over.is_set():
            return
        account = bank.repository.get(opened(f"owner {number}", number % 5))
        account.deposit(Decimal("0.01"))
        bank.save(account)


writers = [threading.Thread(target=write) for _ in range(4)]
for line in sys.stdin:
    match line.split():
        case ["open", owner, deposits]:
            answer = opened(owner, int(deposits))
        case ["snapshot", account]:
            bank.take_snapshot(UUID(account))
            answer = "taken"
        case ["write"]:
            for writer in writers:
                writer.start()
            answer = "writing"
        case ["stop"]:
            is_over.set()
            for writer in writers:
                writer.join()
            answer = "stopped"
    print(answer, flush=True)
