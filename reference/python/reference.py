"""Event Sourcery for Python, driven from the tests: a command a line in, an answer a line out, both JSON.

`reference.py URL` works on the database that SQLAlchemy finds there. A command runs in a session of its own, committed
at its end, as a request of a web service would; what stands between `begin` and `commit` or `rollback` shares one. The
answer is `{"ok": result}`, or `{"error": class, "message": text}`.
"""

import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import invoicing
from event_sourcery import NO_VERSIONING, StreamId
from event_sourcery.event import Context, Recorded, WrappedEvent
from event_sourcery.read_model import Projector
from event_sourcery_otel import OpenTelemetryContextEnricher, get_parent_context, use_parent_context
from event_sourcery_sqlalchemy import SQLAlchemyBackend, SQLAlchemyConfig, configure_models
from event_sourcery_sqlalchemy.cursors_dao import SqlAlchemyCursorsDao
from event_sourcery_sqlalchemy.models.default import DefaultProjectorCursor
from opentelemetry.trace import get_current_span
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Session

Command = dict[str, Any]

SHORTEST_WAIT_SECONDS = 0.1


class Base(DeclarativeBase):
    pass


def backend(session: Session, command: Command) -> SQLAlchemyBackend:
    config = SQLAlchemyConfig(gap_retry_interval=timedelta(milliseconds=10))
    made = SQLAlchemyBackend().configure(session, config)
    if command.get("outbox"):
        made = made.with_outbox()
    if "within" in command:
        made = made.with_context_enrichers(OpenTelemetryContextEnricher())
    return made.in_tenant_mode(command["tenant"]) if "tenant" in command else made


def stream_id(command: Command) -> StreamId:
    given = command["stream"]
    return StreamId(
        uuid=UUID(given["uuid"]) if "uuid" in given else None,
        name=given.get("name"),
        category=given.get("category"),
    )


def context(given: dict[str, Any]) -> Context:
    """A context; its keys beside the known ones are those that older writers put at the root."""
    known = {key: value for key, value in given.items() if key in Context.model_fields}
    made = Context.model_validate(known)
    made._legacy_fields = {key: value for key, value in given.items() if key not in known}
    return made


def event(given: dict[str, Any], version: int | None) -> WrappedEvent:
    event_type = getattr(invoicing, given["type"])
    wrapped = WrappedEvent.wrap(
        event_type(**given.get("fields", {})),
        version=given.get("version", version),
        context=context(given.get("context", {})),
    )
    if "uuid" in given:
        wrapped.uuid = UUID(given["uuid"])
    if "created_at" in given:
        wrapped.created_at = datetime.fromisoformat(given["created_at"])
    return wrapped


def described(wrapped: WrappedEvent) -> dict[str, Any]:
    return {
        "type": type(wrapped.event).__name__,
        "fields": wrapped.event.model_dump(mode="json"),
        "version": wrapped.version,
        "uuid": wrapped.uuid.hex,
        "created_at": wrapped.created_at.isoformat(sep=" ", timespec="microseconds"),
        "context": {**wrapped.context.model_dump(mode="json"), **wrapped.context._legacy_fields},
    }


def described_record(record: Recorded) -> dict[str, Any]:
    return {
        **described(record.wrapped_event),
        "stream": str(record.stream_id),
        "name": record.stream_id.name,
        "category": record.stream_id.category,
        "tenant": record.tenant_id,
        "position": record.position,
    }


def create_all(session: Session, command: Command) -> None:
    Base.metadata.create_all(session.get_bind())


def append(session: Session, command: Command) -> None:
    expected = command.get("expected_version", 0)
    versions = None if expected == "no_versioning" else expected
    events = [
        event(given, None if versions is None else versions + number)
        for number, given in enumerate(command["events"], start=1)
    ]
    backend(session, command).event_store.append(
        *events,
        stream_id=stream_id(command),
        expected_version=NO_VERSIONING if versions is None else versions,
    )


def load(session: Session, command: Command) -> list[dict[str, Any]]:
    events = backend(session, command).event_store.load_stream(
        stream_id(command), start=command.get("start"), stop=command.get("stop")
    )
    return [described(wrapped) for wrapped in events]


def append_within(session: Session, command: Command) -> None:
    """Appends within a trace, which stands in a context as an event of that trace has it."""
    with use_parent_context(context(command["within"])):
        append(session, command)


def traces(session: Session, command: Command) -> list[dict[str, str]]:
    """The trace of each event, as whoever handles it takes it up."""
    events = backend(session, command).event_store.load_stream(stream_id(command))
    parents = [get_current_span(get_parent_context(wrapped)).get_span_context() for wrapped in events]
    return [{"trace": f"{parent.trace_id:032x}", "span": f"{parent.span_id:016x}"} for parent in parents]


def delete(session: Session, command: Command) -> None:
    backend(session, command).event_store.delete_stream(stream_id(command))


def snapshot(session: Session, command: Command) -> None:
    taken = event(command["event"], command["version"])
    backend(session, command).event_store.save_snapshot(stream_id(command), taken)


def position(session: Session, command: Command) -> int | None:
    return backend(session, command).event_store.position


def subscribe(session: Session, command: Command) -> list[dict[str, Any]]:
    """The next events after a position: as many as asked for, or those there are when the wait is over."""
    subscription = backend(session, command).subscriber.start_from(command["after"])
    batches = subscription.build_batch(size=command["size"], timelimit=SHORTEST_WAIT_SECONDS)
    return [described_record(record) for record in next(batches)]


def publish(session: Session, command: Command) -> list[dict[str, Any]]:
    """What the outbox's worker publishes."""
    published: list[dict[str, Any]] = []
    outbox = backend(session, {**command, "outbox": True}).outbox
    outbox.run(lambda record: published.append(described_record(record)))
    return published


def put_cursor(session: Session, command: Command) -> None:
    cursors = SqlAlchemyCursorsDao(session, DefaultProjectorCursor)
    cursors.put_at(command["projector"], stream_id(command), command["version"])


def project(session: Session, command: Command) -> list[int | None]:
    """Feeds a projector the event of a version, and tells which versions its read model is given."""
    store = backend(session, command).event_store
    given: list[int | None] = []
    projector = Projector(
        store,
        command["projector"],
        SqlAlchemyCursorsDao(session, DefaultProjectorCursor),
        lambda wrapped, _stream_id: given.append(wrapped.version),
    )
    version, stream = command["version"], stream_id(command)
    for wrapped in store.load_stream(stream, start=version, stop=version + 1):
        projector.project(wrapped, stream)
    return given


COMMANDS: dict[str, Callable[[Session, Command], Any]] = {
    command.__name__: command
    for command in (
        append,
        append_within,
        create_all,
        delete,
        load,
        position,
        project,
        publish,
        put_cursor,
        snapshot,
        subscribe,
        traces,
    )
}


class Reference:
    def __init__(self, url: str) -> None:
        configure_models(Base)
        self.engine = create_engine(url)
        self.held: Session | None = None

    def answer(self, line: str) -> dict[str, Any]:
        try:
            return {"ok": self.run(json.loads(line))}
        except Exception as refusal:  # whatever it is, it is the answer
            return {"error": type(refusal).__name__, "message": str(refusal)}

    def run(self, command: Command) -> Any:
        match command["do"], self.held:
            case "begin", None:
                self.held = Session(self.engine)
            case "commit" | "rollback" as end, Session() as held:
                self.held = None
                with held:  # which rolls back what is not committed
                    if end == "commit":
                        held.commit()
            case _, Session() as held:
                return COMMANDS[command["do"]](held, command)
            case _:
                return self.run_alone(command)

    def run_alone(self, command: Command) -> Any:
        with Session(self.engine) as session:
            try:
                result = COMMANDS[command["do"]](session, command)
            except Exception:
                # A caller that catches the refusal and goes on commits what the refused call had written.
                if command.get("goes_on_after_refusal"):
                    session.commit()
                raise
            session.commit()
            return result


def main(url: str) -> None:
    reference = Reference(url)
    for line in sys.stdin:
        print(json.dumps(reference.answer(line)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
