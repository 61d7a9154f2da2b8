"""Asks ingest to resubmit or discard quarantined rows: a record for each row in their topic."""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.kafka.writer import write_all

Act = Literal["resubmit", "discard"]

_TIMEOUT_S: Final = 30.0
_COPIED: Final = ("stage", "reason", "column", "topic", "partition", "raw_offset")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done, who asks, and why. `edit`: `schemas/quarantine_request.avsc`."""

    act: Act
    by: str
    because: str
    edit: str | None = None


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

    def _records(
        self, dataset: str, request: str, rows: Iterable[Mapping[str, Any]], wish: Wish
    ) -> Iterator[tuple[bytes, bytes]]:
        read_as_they_are = ("ingest", topics.raw(dataset), topics.staged(dataset))
        now = datetime.now(UTC)
        for row in rows:
            needed = wish.act == "resubmit" and (row["stage"] in read_as_they_are or row["topic"] in read_as_they_are)
            record = {
                "request": request,
                "dataset": dataset,
                "row": row["id"],
                "act": wish.act,
                "edit": wish.edit,
                "by": wish.by,
                "because": wish.because,
                "asked_at": now,
                **{name: row[name] for name in _COPIED},
                "value": row["value"] if needed else "",
                "fields": row["fields"] if needed and row["stage"] == "ingest" else None,
                "quarantined_at": datetime.fromisoformat(row["quarantined_at"]),
            }
            yield dataset.encode(), self._controls.encode("quarantine_request", record)
