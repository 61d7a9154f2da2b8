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

    def saw(self, rejected: Iterable[SourceRow]) -> None:
        """Note rows that were set aside, and stand."""
        if self._notices is None:
            return
        for row in rejected:
            if row.reason not in DRIFT or row.column is None or (row.column, row.reason) in self._told:
                continue
            self._told.add((row.column, row.reason))
            name = self._dataset.name
            data = {
                "column": row.column,
                "reason": row.reason,
                "first": row.source,
                "detail": row.detail,
                "version": self._dataset.version,
            }
            message = (
                f"the source of {name} drifts from {row.source} on: {row.detail}; such rows are set aside; "
                f"`headrace drift ls {name}` shows what the column hits"
            )
            self._notices.incident(KIND, name, message, data, row.column)
