"""What the source of one dataset keeps outside of Headrace, as its connector puts it on record."""

import threading
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

from headrace.errors import Transient
from headrace.stream.holdings import Holding, HoldingLog
from headrace.stream.service import LiveDataset

HELD: Final = "held"


class InUse:
    """A lock for what each dataset's source of a kind keeps outside: it is set up and used, or taken away, by one thread."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, str], threading.Lock] = {}

    def of(self, dataset: str, source_type: str) -> threading.Lock:
        """The lock of a dataset's source."""
        return self._locks.setdefault((dataset, source_type), threading.Lock())


class SourceHoldings:
    """See `headrace.connector.Holdings`."""

    def __init__(self, log: HoldingLog, dataset: LiveDataset) -> None:
        self._log = log
        self._dataset = dataset

    def made(self, name: str) -> Collection[str] | None:
        """See `Holdings.made`."""
        held = self._log.standing().get(name)
        self._require_free(held)
        return None if held is None else held.made

    def note(self, name: str, made: Collection[str]) -> None:
        """See `Holdings.note`. What was noted before counts: since then, what stands there may be ours."""
        contract = self._dataset.contract
        new = Holding(name, self._dataset.name, HELD, datetime.now(UTC), tuple(made), contract.canonical_json())

        def decide(held: Holding | None) -> Holding:
            self._require_free(held)
            return held or new

        self._log.change(name, lambda standing: decide(standing.get(name)))

    def forget(self, name: str) -> None:
        """See `Holdings.forget`."""
        self._log.change(name, lambda _: None)

    def _require_free(self, held: Holding | None) -> None:
        """Errors: Transient while it is, or is about to be, taken away."""
        if held is None:
            return
        said = f": {held.message}" if held.message else ""
        if held.state != HELD:
            raise Transient(f"{held.name} of earlier is being taken away, and waited for{said}")
        if held.contract.source.type != self._dataset.contract.source.type:
            raise Transient(f"{held.name}, of a source of type {held.contract.source.type}, is to be taken away first")
