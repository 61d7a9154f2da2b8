"""Finds the parked rows whose parents are known by now, in the tables of reference data."""

# ruff: noqa: S608 - names are quoted by `headrace.transform.quoting`

from collections import defaultdict
from collections.abc import Collection, Sequence, Set
from typing import Final

import pyarrow as pa

from headrace.contract import Contract, reference_table, waiting_checks
from headrace.errors import Fatal
from headrace.stream.parking import Place, Waiting
from headrace.transform.engine import Engine
from headrace.transform.isolate import Overtaxed, RowError
from headrace.transform.quoting import quoted
from services.transformer.adapters.references import References

_FIELDS: Final[tuple[pa.Field, ...]] = (pa.field("number", pa.int64()), pa.field("wanted", pa.string()))
_VALUES: Final = pa.schema(_FIELDS)


class Arrivals:
    """Says whose parents have come. One thread at a time."""

    def __init__(self, engine: Engine, references: References, contract: Contract) -> None:
        self._engine = engine
        self._references = references
        self._checks = waiting_checks(contract.checks)
        self._seen = -1  # how much of the reference data was there when rows were last looked for

    def __call__(self, waiting: Collection[Waiting], anew: bool) -> Set[Place]:
        """The rows that would not wait any more, as far as can be told: the stage has the last word.

        Rows are only looked for where the reference data is not what it was, or with `anew`. Errors: Transient, Fatal.
        """
        self._references.refresh()
        if self._references.changes == self._seen and not anew:
            return frozenset()
        self._seen = self._references.changes
        groups: dict[tuple[str, str, str], list[Waiting]] = defaultdict(list)
        for row in waiting:
            groups[row.rule, row.parent, row.to].append(row)
        return {row.place for (rule, parent, to), rows in groups.items() for row in self._known(rule, parent, to, rows)}

    def _known(self, rule: str, parent: str, to: str, rows: Sequence[Waiting]) -> Sequence[Waiting]:
        check = self._checks.get(rule)
        if check is None or (check.dataset, check.to) != (parent, to):
            return rows  # the dataset file does not ask for that any more
        wait_ms = (check.wait_s or 0) * 1000
        other = [row for row in rows if row.until_ms - row.since_ms != wait_ms]  # it gives them another time now
        return [*other, *self._found(quoted(to), quoted(reference_table(parent)), rows)]

    def _found(self, column: str, table: str, rows: Sequence[Waiting]) -> Sequence[Waiting]:
        """Errors: Fatal when that takes more than it may: which row is at fault, if one is, cannot be told here."""
        try:
            return self._looked_up(column, table, rows)
        except (RowError, Overtaxed) as error:
            raise Fatal(
                f"whether rows that wait ({len(rows):,}) have their parents in {table} cannot be looked up: {error}; give the "
                "transformer more (transform_memory, transform_time_limit_s), then restart it or apply the dataset again"
            ) from error

    def _looked_up(self, column: str, table: str, rows: Sequence[Waiting]) -> Sequence[Waiting]:
        places, wanted = pa.array(range(len(rows)), pa.int64()), pa.array([row.wanted for row in rows], pa.string())
        values = pa.RecordBatch.from_arrays([places, wanted], schema=_VALUES)
        [(_, kind)] = self._engine.produced(f"SELECT {column} FROM {table}", _VALUES)
        known = f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"
        found = self._engine.query(f"SELECT number FROM input WHERE TRY_CAST(wanted AS {kind}) IN ({known})", values)
        return [rows[at] for at in found.column(0).to_numpy().tolist()]
