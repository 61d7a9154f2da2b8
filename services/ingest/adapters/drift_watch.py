"""Says once of each column that its source drifts from what it was: with the first row that was set aside for it."""

from collections.abc import Iterable
from typing import Final

from headrace.connector import SourceRow
from headrace.contract import DRIFT
from headrace.stream.notices import Notices
from headrace.stream.service import LiveDataset

KIND: Final = "schema_drift"


class DriftWatch:
    """What has been said of the columns of one version of a dataset. `notices`: None says nothing to anybody."""

    def __init__(self, dataset: LiveDataset, notices: Notices | None) -> None:
        self._dataset = dataset
        self._notices = notices
        self._told: set[tuple[str, str]] = set()
        self._unsettled = dict.fromkeys([*dataset.contract.source.drift, *dataset.contract.source.columns])

    def saw(self, rejected: Iterable[SourceRow]) -> None:
        """Note the rows of a transaction that were set aside, and stand. The first settles what the file says something about."""
        if self._notices is None:
            return
        name, version = self._dataset.name, self._dataset.version
        while self._unsettled:
            column, _ = self._unsettled.popitem()
            self._notices.resolved(KIND, name, f"version {version} of {name} says what becomes of {column}", column)
        for row in rejected:
            if row.reason not in DRIFT or row.column is None or (row.column, row.reason) in self._told:
                continue
            self._told.add((row.column, row.reason))
            data = {
                "column": row.column,
                "reason": row.reason,
                "first": row.source,
                "detail": row.detail,
                "version": version,
            }
            message = (
                f"the source of {name} drifts from {row.source} on: {row.detail}; such rows are set aside; "
                f"`headrace drift ls {name}` shows what the column hits"
            )
            self._notices.incident(KIND, name, message, data, row.column)
