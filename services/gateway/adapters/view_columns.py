"""Knows which columns the views of datasets have, for a while: asking before every query would double its way."""

import threading
import time
from dataclasses import dataclass
from typing import Final

from services.gateway.adapters.warehouse import Warehouse

_KEPT_S: Final = 30.0
_MOST: Final = 10_000
_ASKED: Final = (
    "SELECT name FROM system.columns WHERE database = {database:String} AND table = {table:String} ORDER BY position"
)


@dataclass(frozen=True, slots=True)
class _Known:
    columns: tuple[str, ...]
    until_s: float


class ViewColumns:
    """Each process asks for itself. Whoever finds that a view has changed has it forgotten."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._turn = threading.Lock()
        self._known: dict[str, _Known] = {}

    def of(self, dataset: str) -> tuple[str, ...]:
        """The columns of its view, in order; none while there is no view. Errors: Transient."""
        now_s = time.monotonic()
        with self._turn:
            known = self._known.get(dataset)
        if known is not None and known.until_s > now_s:
            return known.columns
        domain, _, name = dataset.partition(".")
        found = self._warehouse.query(_ASKED, _MOST, {"database": domain, "table": name}).rows
        columns = tuple(str(column) for (column,) in found)
        with self._turn:
            if columns:
                self._known[dataset] = _Known(columns, now_s + _KEPT_S)
        return columns

    def forget(self, dataset: str) -> None:
        """Ask anew the next time."""
        with self._turn:
            self._known.pop(dataset, None)
