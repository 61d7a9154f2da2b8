"""Puts published rows to the checks of kind unique: sets aside, or flags, those with the values of a row before them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from headrace.contract import Check, Contract, Unique
from headrace.errors import Fatal
from headrace.stream import columns
from headrace.stream.codec import conform
from headrace.stream.outputs import plain, readable
from headrace.stream.stage import Rejection
from headrace.transform import parents, types
from headrace.transform.seen import Seen
from headrace.transform.unique import Place, Repeat, repeats, told

_REASON: Final = "check_unique"
_MOST_SHOWN: Final = 200
_TEXT: Final = "VARCHAR"


def seen_for(checks: Iterable[Check], folder: Path | None = None) -> Seen | None:
    """What remembers the values for the checks of kind unique among these; None when there is none."""
    sets = [check.columns for check in _uniques(checks)]
    return Seen(sets, folder) if sets else None


class Uniques:
    """The checks of kind unique among those of a dataset. `seen` is what rows had before; if not given, nothing yet."""

    def __init__(self, checks: Sequence[Check], seen: Seen | None) -> None:
        self._checks = _uniques(checks)
        self._seen = seen if seen is not None else seen_for(checks)

    def judged(
        self, rows: pa.RecordBatch, row: parents.Int64s
    ) -> tuple[pa.RecordBatch, parents.Int64s, list[Rejection]]:
        """What goes on of the published rows, the input row of each, and the input rows that are set aside.

        Shapes: `row` has an entry for each of `rows`, and ascends. What goes on counts as seen from here on. Errors: Fatal.
        """
        if self._seen is None or not len(rows):
            return rows, row, []
        places = _Places(rows)
        contested = self._seen.contested(self._asked(rows))
        found = repeats(contested, row, places, lambda _, mine: not any(map(self._rejects, mine)))
        rejected = {
            of: self._rejection(rows, of, mine, places) for of, mine in found.items() if any(map(self._rejects, mine))
        }
        going = ~parents.members(np.fromiter(rejected, np.int64, len(rejected)), int(row[-1]) + 1)[row]
        self._seen.note(going)
        flagged = _flagged(rows, self._flags(found))
        if rejected:
            flagged, row = flagged.take(pa.array(np.flatnonzero(going), pa.int64())), row[going]
        return flagged, row, list(rejected.values())

    def confirm(self, rows: pa.RecordBatch, published: pa.Schema) -> None:
        """Learn of rows that went on, in their order; `published` is the schema that rows have today. Errors: Fatal."""
        if self._seen is None or not len(rows):
            return
        names = dict.fromkeys(name for check in self._checks for name in check.columns)
        wanted = pa.schema([published.field(name).with_nullable(True) for name in names])
        try:
            own = conform(rows, wanted)
        except ValueError as error:
            raise Fatal(f"a check of kind unique cannot read the rows published before: {error}") from error
        place = [columns.PARTITION, columns.OFFSET]
        schema = pa.schema([*wanted, *(rows.schema.field(name) for name in place)])
        self._seen.confirm(
            pa.RecordBatch.from_arrays([*own.columns, *(rows.column(name) for name in place)], schema=schema)
        )

    def _asked(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        names = dict.fromkeys(name for check in self._checks for name in check.columns)
        if missing := [name for name in names if name not in rows.schema.names]:
            raise Fatal(f"a check of kind unique looks at {', '.join(missing)}: no such column is published")
        return rows.select([*names, columns.PARTITION, columns.OFFSET])

    def _rejects(self, repeat: Repeat) -> bool:
        return self._checks[repeat.check].severity == "reject"

    def _rejection(self, rows: pa.RecordBatch, of: int, mine: Sequence[Repeat], places: Sequence[Place]) -> Rejection:
        """Why an input row is set aside: the first that rejects."""
        first = next(filter(self._rejects, mine))
        check = self._checks[first.check]
        shown = {name: _shown(rows.column(name)[first.row]) for name in check.columns}
        return Rejection(of, _REASON, told(first, shown, places[first.row]), check.name, check.subject())

    def _flags(self, found: Mapping[int, Sequence[Repeat]]) -> dict[int, list[str]]:
        flags: dict[int, list[str]] = {}
        for mine in found.values():
            for repeat in mine:
                flags.setdefault(repeat.row, []).append(str(self._checks[repeat.check].name))
        return flags


def parted(contract: Contract, given: Mapping[str, str], published: Mapping[str, str]) -> str | None:
    """The column of the key, if any, whose values may be one when they are published and were two where rows were partitioned.

    Shapes: `given` and `published` are DuckDB's types by column, before and after the declared types were applied.
    """
    if contract.partitions == 1 or not _uniques(contract.checks):
        return None
    texts = (
        name for name in contract.key if given.get(name) == _TEXT and not types.same(published.get(name, _TEXT), _TEXT)
    )
    return next(texts, None)


def _uniques(checks: Iterable[Check]) -> list[Unique]:
    return [check for check in checks if isinstance(check, Unique)]


class _Places(Sequence[Place]):
    """Where the raw records stand that rows were made of, read as they are asked for."""

    def __init__(self, rows: pa.RecordBatch) -> None:
        self._partition = rows.column(columns.PARTITION)
        self._offset = rows.column(columns.OFFSET)

    def __len__(self) -> int:
        return len(self._offset)

    def __getitem__(self, at: int) -> Place:  # type: ignore[override]
        return Place(self._partition[at].as_py(), self._offset[at].as_py())


def _flagged(rows: pa.RecordBatch, flags: Mapping[int, Sequence[str]]) -> pa.RecordBatch:
    """The rows, some with more flags."""
    if not flags:
        return rows
    at = rows.schema.names.index(columns.FLAGS)
    lists = rows.column(at).to_pylist()
    for row, names in flags.items():
        lists[row] = [*(lists[row] or ()), *names]
    return rows.set_column(at, rows.schema.field(at), pa.array(lists, rows.schema.field(at).type))


def _shown(value: pa.Scalar) -> str:
    """A value as a message has it: text in quotes, and cut when it is long."""
    said = plain(readable(value))
    text = str(said)[:_MOST_SHOWN]
    return f"'{text}'" if isinstance(said, str) else "null" if said is None else text
