"""The topic of access: how its records are written, by one writer at a time, and how a service keeps in step with them."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from headrace.access.book import AccessBook, Entry, Principal, Token
from headrace.access.policy import Action, Grant, Scope
from headrace.errors import Fatal
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Followed, Follower, SoleWriter

_WRITER_ID: Final = "headrace-access"
_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class AccessChange:
    """What becomes of an entry. `gone`: it is taken away."""

    entry: Entry
    gone: bool = False


class AccessLog:
    """Writes changes of access, each set in one transaction, decided on all that stands. Safe to share between threads."""

    def __init__(self, connection: Connection, controls: Controls) -> None:
        self._connection = connection
        self._controls = controls
        self._writer = SoleWriter(connection, _WRITER_ID, "somebody else's access was changed at the same time")

    def change(
        self, by: str, at: datetime, decide: Callable[[AccessBook], Sequence[AccessChange]]
    ) -> Sequence[AccessChange]:
        """Write what `decide` makes of what stands; returns it.

        Errors: whatever `decide` raises; Transient, also when another writer was quicker (nothing is written in either case).
        """
        with self._writer.turn() as writer:
            changes = decide(self._standing())
            if changes:
                keys = [_key(change.entry).encode() for change in changes]
                values = [None if change.gone else self._encoded(change.entry, by, at) for change in changes]
                with writer.transaction() as transaction:
                    transaction.produce(topics.ACCESS, values, keys=keys)
        return changes

    def _standing(self) -> AccessBook:
        followed = _followed(self._connection, self._controls)
        try:
            followed.refresh()
            return AccessBook.of(followed.state.values())
        finally:
            followed.close()

    def _encoded(self, entry: Entry, by: str, at: datetime) -> bytes:
        return self._controls.encode("access", {**record_of(entry), "by": by, "at": at})


class KnownAccess:
    """What stands, kept in step with the topic by a thread of its own: a change is known within a fraction of a second.

    While Kafka is away, what was known stays. Before anything was read, `book` is None.
    """

    def __init__(self, connection: Connection, controls: Controls) -> None:
        self._connection = connection
        self._controls = controls
        self._changed = threading.Condition()
        self._follower = Follower("access", self._session)
        self.book: AccessBook | None = None

    def start(self) -> None:
        """Begin to follow."""
        self._follower.start()

    def close(self) -> None:
        """Stop following."""
        self._follower.close()

    def wait_until(self, seen: Callable[[AccessBook], bool], timeout_s: float) -> bool:
        """Wait until what is known shows something. Returns whether it does."""
        with self._changed:
            return self._changed.wait_for(lambda: self.book is not None and seen(self.book), timeout_s)

    def _session(self, stopping: threading.Event) -> None:
        followed = _followed(self._connection, self._controls)
        try:
            while not stopping.is_set():
                if followed.refresh() or self.book is None:
                    with self._changed:
                        self.book = AccessBook.of(followed.state.values())
                        self._changed.notify_all()
                stopping.wait(_POLL_S)
        finally:
            followed.close()


def _followed(connection: Connection, controls: Controls) -> Followed[Entry]:
    return Followed(connection, topics.ACCESS, lambda value: entry_of(controls.decode(value)))


def _key(entry: Entry) -> str:
    return f"{_kind(entry)}/{entry.id}"


def _kind(entry: Entry) -> str:
    return type(entry).__name__.lower()


def record_of(entry: Entry) -> dict[str, Any]:
    """An entry as `schemas/access.avsc` has it, but for who wrote it and when."""
    fields = asdict(entry)
    match entry:
        case Grant():
            fields["scope"] = str(entry.scope)
        case Token():
            fields["scopes"] = [str(scope) for scope in entry.scopes]
            fields["actions"] = [action.value for action in entry.actions]
        case Principal():
            fields["groups"] = list(entry.groups)
    return {_kind(entry): fields}


def entry_of(record: Mapping[str, Any]) -> Entry:
    """The inverse. Errors: Fatal, ValueError when it is no entry that this version knows."""
    if (fields := record.get("principal")) is not None:
        return Principal(**_known(Principal, fields) | {"groups": tuple(fields["groups"])})
    if (fields := record.get("grant")) is not None:
        return Grant(**_known(Grant, fields) | {"scope": Scope.parse(fields["scope"])})
    if (fields := record.get("token")) is not None:
        narrowed = {
            "actions": tuple(Action(action) for action in fields["actions"]),
            "scopes": tuple(Scope.parse(scope) for scope in fields["scopes"]),
        }
        return Token(**_known(Token, fields) | narrowed)
    raise Fatal("a record of access tells of nothing that is known here")


def _known(kind: type[Entry], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that this version knows."""
    return {name: fields[name] for name in kind.__dataclass_fields__ if name in fields}
