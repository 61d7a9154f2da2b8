"""Asks the warehouse which rows of other datasets a row was made of, when its source is a query over those."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from headrace.contract.contributing import Contributing
from headrace.sql_guard import RefusedQueryError, guarded
from headrace.stream.runs import Run
from services.gateway.adapters.dataset_store import DatasetStore
from services.gateway.adapters.run_log import RunLog
from services.gateway.adapters.warehouse import QueryError, Warehouse
from services.gateway.core.contributing import as_of, counted, of_runs
from services.gateway.core.datasets import DatasetVersion


@dataclass(frozen=True, slots=True)
class Contribution:
    """The rows of a dataset that contributed to a row.

    `rows` were there when the row was made, `later` meet the same conditions and came since; both None where `error` says why
    they cannot be told. `items` are the first of them. `notes`: why it may be more, or fewer, than what contributed.
    """

    dataset: str
    sql: str
    notes: tuple[str, ...]
    rows: int | None = None
    later: int | None = None
    items: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None


class Contributors:
    """Where contributing rows are asked for."""

    def __init__(self, warehouse: Warehouse, datasets: DatasetStore, runs: RunLog) -> None:
        self._warehouse = warehouse
        self._datasets = datasets
        self._runs = runs

    def of(
        self, dataset: DatasetVersion, row: Mapping[str, Any], made_at: datetime, run: Run | None, most: int
    ) -> list[Contribution]:
        """What contributed to a row that a version of a dataset made; nothing when its source does not tell.

        `row` has the row's values as its source gave them. Errors: Transient.
        """
        found = dataset.contract().source.contributors(row, made_at)
        return [self._asked(each, made_at, run, most) for each in found]

    def _asked(self, wanted: Contributing, made_at: datetime, run: Run | None, most: int) -> Contribution:
        upstream = self._datasets.get(wanted.dataset)
        in_runs = upstream is not None and upstream.contract().load.mode == "replace"
        until = None if in_runs else made_at
        notes = [*wanted.notes, *(self._of_runs(wanted.dataset, run) if in_runs else ())]
        contribution = Contribution(wanted.dataset, as_of(wanted.sql, until), tuple(notes))
        try:
            [[rows, later]] = self._warehouse.query(guarded(counted(wanted.sql, until), wanted.domains, 1), 1).rows
            items = self._warehouse.query(guarded(contribution.sql, wanted.domains, most), most).records()
        except (RefusedQueryError, QueryError) as error:
            return replace(contribution, error=str(error))
        return replace(contribution, rows=rows, later=later, items=items)

    def _of_runs(self, dataset: str, run: Run | None) -> list[str]:
        current = self._runs.history(dataset).current
        inputs = run.inputs.get(dataset, ()) if run is not None else ()
        read = (
            inputs[0] if len(inputs) == 1 else None
        )  # several are the ends of partitions: it was loaded row by row then
        return of_runs(dataset, read, current.run if current is not None else None)
