"""Puts published rows to the checks of kind unique: sets aside, or flags, those with the values of a row before them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from headrace.contract import Check, Contract, Unique
from headrace.errors import Fatal
from headrace.stream import columns
from headrace.stream.codec import conform
from headrace.stream.outputs import plain, readable
from headrace.stream.overrides import Decisions
from headrace.stream.stage import Rejection
from headrace.transform import parents, types
from headrace.transform.holding import set_aside
from headrace.transform.seen import Seen
from headrace.transform.unique import Place, Repeat, repeats, told

_REASON: Final = "check_unique"
_MOST_SHOWN: Final = 200
_TEXT: Final = "VARCHAR"


def seen_for(checks: Iterable[Check], folder: Path | None = None) -> Seen | None:
    """What remembers the values for the checks of kind unique among these; None when there is none."""
    sets = [check.columns for check in _uniques(checks)]
    return Seen(sets, folder) if sets else None


@dataclass(frozen=True, slots=True)
class Judged:
    """What goes on, the input row of each of these, and the input rows that are set aside. With `held`, the first input row that
    waits for a decision, the others do not count."""

    rows: pa.RecordBatch
    row: parents.Int64s
    rejected: list[Rejection]
    held: Rejection | None


class Uniques:
    """The checks of kind unique among those of a dataset. `seen` is what rows had before; if not given, nothing yet."""

    def __init__(self, checks: Sequence[Check], seen: Seen | None, decisions: Decisions) -> None:
        self._checks = _uniques(checks)
        self._decisions = decisions
        self._seen = seen if seen is not None else seen_for(checks)

    def judged(self, rows: pa.RecordBatch, row: parents.Int64s) -> Judged:
        """What becomes of published rows. What goes on counts as seen from here on, unless one waits for a decision.

        Shapes: `row` has an entry for each of `rows`, and ascends. Errors: Fatal.
        """
        if self._seen is None or not len(rows):
            return Judged(rows, row, [], None)
        places = _Places(rows)
        contested = self._seen.contested(self._asked(rows))
        found = repeats(contested, row, places, lambda _, mine: self._deciding(mine, places, "quarantine") is None)
        rejected: dict[int, Rejection] = {}
        for of, mine in found.items():
            if (first := self._deciding(mine, places, "quarantine")) is not None:
                rejected[of] = self._rejection(rows, of, first, places[first.row])
            elif (first := self._deciding(mine, places, None)) is not None:
                return Judged(rows, row, [], self._rejection(rows, of, first, places[first.row]))
        going = ~parents.members(np.fromiter(rejected, np.int64, len(rejected)), int(row[-1]) + 1)[row]
        self._seen.note(going)
        flagged = _flagged(rows, self._flags(found))
        if rejected:
            flagged, row = flagged.take(pa.array(np.flatnonzero(going), pa.int64())), row[going]
        return Judged(flagged, row, list(rejected.values()), None)

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

    def _deciding(self, mine: Sequence[Repeat], places: Sequence[Place], act: str | None) -> Repeat | None:
        """The first of the repeats of an input row that is to be set aside, or, with None, that waits for a decision."""
        return next((each for each in mine if self._act(each, places[each.row]) == act), None)

    def _act(self, repeat: Repeat, place: Place) -> str | None:
        check = self._checks[repeat.check]
        if check.severity != "hold":
            return "quarantine" if check.severity == "reject" else "pass"
        decision = self._decisions.on(str(check.name), *place)
        return None if decision is None else decision.act

    def _rejection(self, rows: pa.RecordBatch, of: int, repeat: Repeat, place: Place) -> Rejection:
        """Why an input row is set aside, or waits."""
        check = self._checks[repeat.check]
        shown = {name: _shown(rows.column(name)[repeat.row]) for name in check.columns}
        rejection = Rejection(of, _REASON, told(repeat, shown, place), check.name, check.subject())
        decision = self._decisions.on(str(check.name), *place) if check.severity == "hold" else None
        return rejection if decision is None else set_aside(rejection, decision)

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
