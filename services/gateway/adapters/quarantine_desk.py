"""Asks ingest to resubmit, discard or assign quarantined rows: a record for each row in their topic."""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from headrace.errors import Transient
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.kafka.writer import write_all
from services.gateway.adapters.answers import Answers

Act = Literal["resubmit", "discard", "try", "assign", "unassign"]
#: What needs the row itself.
READING: Final = frozenset({"resubmit", "try"})

_TIMEOUT_S: Final = 30.0
_COPIED: Final = ("stage", "reason", "column", "topic", "partition", "raw_offset")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done, who asks, and why. `edit` and `version`: `schemas/quarantine_request.avsc`, `to` too."""

    act: Act
    by: str
    because: str
    edit: str | None = None
    version: int = 0
    to: str | None = None


class QuarantineDesk:
    """Where something is asked of quarantined rows. It is done by ingest, also when this gateway is gone by then."""

    def __init__(self, connection: Connection, controls: Controls) -> None:
        self._connection = connection
        self._controls = controls

    def ask(self, dataset: str, rows: Iterable[Mapping[str, Any]], wish: Wish) -> tuple[str, int]:
        """Ask for each row, as `adapters.quarantine` gives it. Returns the request's name, and how many rows it has.

        Errors: Transient: some rows may have been asked for; asking again does none twice.
        """
        request = secrets.token_hex(8)
        records = self._records(dataset, request, rows, wish)
        return request, write_all(self._connection, topics.QUARANTINE_REQUESTS, records, _TIMEOUT_S)

    def try_out(
        self, dataset: str, rows: Sequence[Mapping[str, Any]], wish: Wish, patience_s: float
    ) -> list[dict[str, Any]]:
        """What would become of each row (`schemas/verdict.avsc`), asked of ingest and the transformer. Changes nothing.

        Errors: Transient, also when not every row has its verdict in time.
        """
        found: list[dict[str, Any]] = []
        with Answers(self._connection, topics.VERDICTS) as answers:
            request, count = self.ask(dataset, rows, wish)
            for value in answers.of(request, patience_s) if count else ():
                found.append(self._controls.decode(value))
                if len(found) == count:
                    break
        if len(found) < count:
            raise Transient(
                f"{len(found)} of {count} rows were judged in time; look whether ingest and the transformer run"
            )
        return found

    def _records(
        self, dataset: str, request: str, rows: Iterable[Mapping[str, Any]], wish: Wish
    ) -> Iterator[tuple[bytes, bytes]]:
        read_as_they_are = ("ingest", topics.raw(dataset), topics.staged(dataset))
        now = datetime.now(UTC)
        for row in rows:
            needed = wish.act in READING and (row["stage"] in read_as_they_are or row["topic"] in read_as_they_are)
            record = {
                "request": request,
                "dataset": dataset,
                "row": row["id"],
                "act": wish.act,
                "edit": wish.edit,
                "by": wish.by,
                "because": wish.because,
                "asked_at": now,
                "version": wish.version,
                "to": wish.to,
                **{name: row[name] for name in _COPIED},
                "value": row["value"] if needed else "",
                "fields": row["fields"] if needed and row["stage"] == "ingest" else None,
                "quarantined_at": datetime.fromisoformat(row["quarantined_at"]),
            }
            yield dataset.encode(), self._controls.encode("quarantine_request", record)
