"""The event types of the tests, as a Python service would declare them."""

from datetime import date
from decimal import Decimal
from uuid import UUID

from event_sourcery import Event
from event_sourcery.event import ContextComponent
from pydantic import BaseModel


class Line(BaseModel):
    text: str
    quantity: int


class Issued(Event):
    __event_name__ = "invoicing.Issued"

    number: str
    amount: Decimal
    due: date
    customer: UUID
    lines: list[Line] = []
    note: str | None = None


class Paid(Event):
    __event_name__ = "invoicing.Paid"

    number: str


class Measured(Event):
    __event_name__ = "invoicing.Measured"

    weight: float


class Summary(Event):
    """Taken as a snapshot."""

    __event_name__ = "invoicing.Summary"

    payments: int


class Voided(Event):
    """Without a name of its own: it is stored as `invoicing.Voided`, after module and class."""


class Request(ContextComponent):
    __context_name__ = "request"

    id: str
    retries: int = 0
