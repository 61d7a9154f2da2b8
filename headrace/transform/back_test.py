"""What another version of a dataset file would make of rows that are there: fates and values, beside those by the live one.

Both versions work on the same rows, so a difference is one of the files, unless reference data changed meanwhile.
"""

# ruff: noqa: S608 - names are made here

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.stream import columns
from headrace.stream.outputs import plain, readable
from headrace.stream.stage import Batch, Emitted, Outcome, Stage
from headrace.transform.engine import Engine
from headrace.transform.parents import Int64s
from headrace.transform.quoting import quoted

_SAMPLES: Final = 5  # of each move, and of each column
_SHOWN: Final = 300  # characters of a value, or of a row
_PLACE: Final = "__place"


class Fate(NamedTuple):
    """What becomes of a row: `loaded`, `filtered` by a rule, or `quarantined` by a check; for a reason where no check did it.

    One that would wait for its parent is `parked` by the check.
    """

    fate: str
    rule: str = ""


LOADED: Final = Fate("loaded")


@dataclass(frozen=True, slots=True)
class Sample:
    """One row by its place in the raw topic. `before` and `after`: details of its fates, or the two values of a column."""

    partition: int
    offset: int
    before: str
    after: str
    row: str = ""


@dataclass(slots=True)
class _Found:
    """How many rows, and the first of them."""

    rows: int = 0
    samples: list[Sample] = field(default_factory=list)

    def note(self, rows: int, samples: Iterable[Sample]) -> None:
        self.rows += rows
        self.samples += [sample for _, sample in zip(range(_SAMPLES - len(self.samples)), samples, strict=False)]


class BackTest:
    """Puts batches of staged rows through the stages of two versions. One thread at a time; `engine` compares values."""

    def __init__(self, before: Stage, after: Stage, engine: Engine) -> None:
        self._before = before
        self._after = after
        self._engine = engine
        self.rows = 0
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._fates: tuple[Counter[Fate], Counter[Fate]] = Counter(), Counter()
        self._flags: tuple[Counter[str], Counter[str]] = Counter(), Counter()
        self._moves: dict[tuple[Fate, Fate], _Found] = {}
        self._columns: dict[str, _Found] = {}
        self._compared = 0
        self._published = [0, 0]
        self._names: tuple[dict[str, None], dict[str, None]] = {}, {}

    def add(self, batch: Batch) -> None:
        """Count what each version makes of these rows. Errors: Fatal when the SQL of a version does not fit them."""
        outcomes = self._before(batch), self._after(batch)
        told = _Told.of(batch, outcomes[0]), _Told.of(batch, outcomes[1])
        self.rows += len(batch.rows)
        self._note_span(batch)
        for counter, each in zip(self._fates, told, strict=True):
            counter.update({fate: int(rows) for fate, rows in each.counted()})
        self._note_moves(batch, *told)
        for flags, outcome in zip(self._flags, outcomes, strict=True):
            flags.update(_flags(outcome))
        before, after = (_published(outcome) for outcome in outcomes)
        self._published[0] += len(before)
        self._published[1] += len(after)
        self._note_values(before, after)

    def report(self) -> dict[str, Any]:
        """What was found, as plain JSON: see `BackTestReport` of the gateway."""
        return {
            "rows": self.rows,
            "first": None if self._first is None else self._first.isoformat(),
            "last": None if self._last is None else self._last.isoformat(),
            "fates": [
                {**fate._asdict(), "before": self._fates[0][fate], "after": self._fates[1][fate]}
                for fate in sorted({*self._fates[0], *self._fates[1]})
            ],
            "moves": [
                {"before": before._asdict(), "after": after._asdict(), **_as_json(found)}
                for (before, after), found in sorted(self._moves.items(), key=lambda move: -move[1].rows)
            ],
            "published": {"before": self._published[0], "after": self._published[1]},
            "flags": [
                {"flag": flag, "before": self._flags[0][flag], "after": self._flags[1][flag]}
                for flag in sorted({*self._flags[0], *self._flags[1]})
            ],
            "compared": self._compared,
            "columns": [{"column": name, **_as_json(found)} for name, found in self._columns.items()],
            "columns_added": [name for name in self._names[1] if name not in self._names[0]],
            "columns_removed": [name for name in self._names[0] if name not in self._names[1]],
        }

    def _note_span(self, batch: Batch) -> None:
        span = pc.min_max(batch.rows.column(columns.INGESTED_AT))
        first, last = span["min"].as_py(), span["max"].as_py()
        self._first = min(filter(None, (self._first, first)), default=None)
        self._last = max(filter(None, (self._last, last)), default=None)

    def _note_moves(self, batch: Batch, before: "_Told", after: "_Told") -> None:
        """Count the rows whose fate is another."""
        width = len(after.fates)
        pairs = before.code * width + after.code
        for pair in np.unique(pairs).tolist():
            was, now = before.fates[pair // width], after.fates[pair % width]
            if was == now or was.fate == now.fate == "filtered":  # whichever condition it fails first
                continue
            rows = np.flatnonzero(pairs == pair)
            samples = (_moved(batch, row, before, after) for row in rows.tolist())
            self._moves.setdefault((was, now), _Found()).note(len(rows), samples)

    def _note_values(self, before: pa.RecordBatch, after: pa.RecordBatch) -> None:
        """Compare the columns that both versions publish, over the rows that both do."""
        for names, rows in zip(self._names, (before, after), strict=True):
            names.update(dict.fromkeys(columns.user_columns(rows.schema)))
        common = [name for name in columns.user_columns(before.schema) if name in after.schema.names]
        at = _same_rows(before, after)
        count = len(at[0])
        self._compared += count
        if not count or not common:
            return
        sides = before.take(pa.array(at[0], pa.int64())), after.take(pa.array(at[1], pa.int64()))
        table = _beside(sides, common)
        changed = self._engine.query(_changes(table.schema, len(common)), table)
        for number, name in enumerate(common):
            differing = np.flatnonzero(changed.column(number).to_numpy(zero_copy_only=False))
            if len(differing):
                samples = (_changed(sides, name, row) for row in differing.tolist())
                self._columns.setdefault(name, _Found()).note(len(differing), samples)


@dataclass(frozen=True, slots=True)
class _Told:
    """The fate of each row of a batch as an index into `fates`, and what is said of those that were rejected."""

    code: Int64s
    fates: Sequence[Fate]
    details: Mapping[int, str]

    @classmethod
    def of(cls, batch: Batch, outcome: Outcome) -> "_Told":
        code = np.zeros(len(batch.rows), np.int64)
        fates: dict[Fate, int] = {LOADED: 0}
        for rule, rows in outcome.filtered.items():
            code[rows.to_numpy()] = fates.setdefault(Fate("filtered", rule), len(fates))
        for each in outcome.rejected:
            code[each.row] = fates.setdefault(Fate("quarantined", each.rule or each.reason), len(fates))
        for waiting in outcome.parked:
            code[waiting.row] = fates.setdefault(Fate("parked", waiting.rule), len(fates))
        details = {each.row: each.detail for each in outcome.rejected}
        return cls(code, list(fates), details | {each.row: each.detail for each in outcome.parked})

    def counted(self) -> Iterable[tuple[Fate, int]]:
        return zip(self.fates, np.bincount(self.code, minlength=len(self.fates)).tolist(), strict=True)

    def told(self, row: int) -> str:
        """What is said of a row."""
        fate = self.fates[int(self.code[row])]
        return self.details.get(row) or " ".join(filter(None, fate))


def _moved(batch: Batch, row: int, before: _Told, after: _Told) -> Sample:
    own = {name: readable(batch.rows.column(name)[row]) for name in columns.user_columns(batch.rows.schema)}
    return Sample(*_place(batch.rows, row), before.told(row), after.told(row), _text(own))


def _changed(sides: tuple[pa.RecordBatch, pa.RecordBatch], name: str, row: int) -> Sample:
    before, after = (_text(readable(side.column(name)[row])) for side in sides)
    return Sample(*_place(sides[0], row), before, after)


def _place(rows: pa.RecordBatch, row: int) -> tuple[int, int]:
    return rows.column(columns.PARTITION)[row].as_py(), rows.column(columns.OFFSET)[row].as_py()


def _text(value: object) -> str:
    text = json.dumps(plain(value), ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _as_json(found: _Found) -> dict[str, Any]:
    samples = [{name: getattr(each, name) for name in Sample.__slots__} for each in found.samples]
    return {"rows": found.rows, "samples": samples}


def _emitted(outcome: Outcome) -> Emitted:
    [emitted] = outcome.emitted
    return emitted


def _published(outcome: Outcome) -> pa.RecordBatch:
    """The published rows with the place of the row each came from."""
    emitted = _emitted(outcome)
    assert emitted.rows is not None
    rows = emitted.rows
    return pa.RecordBatch.from_arrays([*rows.columns, emitted.row], names=[*rows.schema.names, _PLACE])


def _flags(outcome: Outcome) -> Counter[str]:
    rows = _emitted(outcome).rows
    assert rows is not None
    return Counter(map(str, pc.list_flatten(rows.column(columns.FLAGS)).to_pylist()))


def _same_rows(before: pa.RecordBatch, after: pa.RecordBatch) -> tuple[Int64s, Int64s]:
    """Where in each the rows are that both have: made of the same row, as the same one of its several."""
    _, left, right = np.intersect1d(_identity(before), _identity(after), assume_unique=True, return_indices=True)
    return left.astype(np.int64), right.astype(np.int64)


def _identity(rows: pa.RecordBatch) -> Int64s:
    place, several = rows.column(_PLACE).to_numpy(), rows.column(columns.SEQ).to_numpy()
    return place.astype(np.int64) << 32 | several.astype(np.int64)


def _beside(sides: tuple[pa.RecordBatch, pa.RecordBatch], common: Sequence[str]) -> pa.RecordBatch:
    """Columns of both, `before0, after0, before1, ...`."""
    arrays = [side.column(name) for name in common for side in sides]
    names = [f"{side}{number}" for number in range(len(common)) for side in ("before", "after")]
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _comparable(before: pa.DataType, after: pa.DataType) -> bool:
    """Whether DuckDB compares values of these types by what they are worth."""
    return before == after or (_is_number(before) and _is_number(after))


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _changes(beside: pa.Schema, count: int) -> str:
    """A query for whether each column differs, row by row. Texts stand in for values of types that do not compare."""
    differs = []
    for number in range(count):
        before, after = quoted(f"before{number}"), quoted(f"after{number}")
        if not _comparable(beside.field(f"before{number}").type, beside.field(f"after{number}").type):
            before, after = f"{before}::VARCHAR", f"{after}::VARCHAR"
        differs.append(f"{before} IS DISTINCT FROM {after} AS d{number}")
    return f"SELECT {', '.join(differs)} FROM input"
