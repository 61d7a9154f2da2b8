"""Looks up what was ever done to a quarantined row, through the rows that it was before and that it became."""

from collections.abc import Mapping
from typing import Any, Final

from headrace.stream.columns import QUARANTINE_ID
from services.gateway.adapters.published_rows import PublishedRows
from services.gateway.adapters.quarantine import Quarantine
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.row_history import Act, history

_MOST_BEFORE: Final = 10
_MOST_AFTER: Final = 10


class RowHistories:
    """The histories of quarantined rows."""

    def __init__(self, quarantine: Quarantine, rows: PublishedRows) -> None:
        self._quarantine = quarantine
        self._rows = rows

    def of(self, dataset: DatasetVersion, row: Mapping[str, Any]) -> list[Act]:
        """What was done to a row, as `Quarantine.get` gives it; in order. Errors: Transient."""
        rows = [*reversed(self._before(dataset, row)), row, *self._after(dataset, row)]
        acts = self._quarantine.acts(dataset.name, [each["id"] for each in rows])
        loaded = {
            each["id"]: [str(place) for place in self._rows.resubmitted(dataset, each["id"])]
            for each in rows
            if each["state"] == "resubmitted"
        }
        return history(rows, acts, loaded)

    def _before(self, dataset: DatasetVersion, row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The quarantined rows that it was, the last first."""
        found: list[Mapping[str, Any]] = []
        while len(found) < _MOST_BEFORE and (was := _was(row)) is not None:
            known = self._quarantine.get(dataset.name, was)
            if known is None:
                break
            found.append(known)
            row = known
        return found

    def _after(self, dataset: DatasetVersion, row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The quarantined rows that it became when it was resubmitted, the first first."""
        found: list[Mapping[str, Any]] = []
        while len(found) < _MOST_AFTER and row["state"] == "resubmitted":
            became = self._quarantine.again(dataset.name, row["id"])
            if not became:
                break
            found += became
            row = became[-1]
        return found


def _was(row: Mapping[str, Any]) -> tuple[int, int] | None:
    """Which quarantined row it was. What ingest set aside never was a raw record: its fields are the source's own."""
    fields = row["fields"] if row["raw_offset"] is not None and isinstance(row["fields"], dict) else {}
    partition, _, offset = str(fields.get(QUARANTINE_ID) or "").partition("-")
    return (int(partition), int(offset)) if partition.isdecimal() and offset.isdecimal() else None
