"""Runs the tests of a dataset file: the given rows through the very stage that works on the stream, in a locked engine."""

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import pyarrow as pa

from headrace.contract import (
    Check,
    Contract,
    NotNull,
    References,
    TransformTest,
    arrow_type,
    plain_type,
    reference_table,
)
from headrace.contract.inputs import Inputs, inputs
from headrace.contract.row_text import GivenRows, rows_of
from headrace.contract.sql import examine
from headrace.contract.transform_test_rules import FLAGS
from headrace.errors import Fatal
from headrace.stream.codec import conform
from headrace.stream.stage import Batch, Outcome, Records
from headrace.stream.staging import staged
from headrace.transform import expectation
from headrace.transform.compare import Difference, Row, differences, plain
from headrace.transform.engine import MEMORY, Engine
from headrace.transform.isolate import RowError
from headrace.transform.personal import TEST_KEY
from headrace.transform.reference import create
from headrace.transform.stage import Transform
from headrace.transform.typed import UnfitError, typed
from headrace.transform.types import duckdb_type

_MOST_PUBLISHED: Final = 100_000
_TEST_LIMIT_S: Final = 30.0  # a hundred times what one takes, for machines that are busy


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a test went. It passes when nothing differs."""

    test: str
    differences: tuple[Difference, ...]
    took_s: float

    @property
    def passed(self) -> bool:
        return not self.differences


@dataclass(frozen=True, slots=True)
class _Known:
    """What all tests of a dataset file need to know of its SQL."""

    inputs: Inputs
    computed: frozenset[str]


def run_tests(contract: Contract, memory_limit: str = MEMORY, time_limit_s: float = math.inf) -> list[Verdict]:
    """Every test of a dataset file, in order. One that cannot be run has a difference of kind `error`.

    Each may take half a minute, all together `time_limit_s`.
    """
    if not contract.tests:
        return []
    deadline = time.monotonic() + time_limit_s
    sql = contract.transform.sql
    known = _Known(inputs(sql), frozenset(examine(sql).computed))
    return [_verdict(contract, test, known, memory_limit, deadline) for test in contract.tests]


def fates_of(
    contract: Contract, test: TransformTest, memory_limit: str = MEMORY, time_limit_s: float = math.inf
) -> expectation.Fates:
    """What becomes of the rows that a test gives, whatever it expects. Errors: ValueError when it cannot be run.

    It may take half a minute, and no longer than `time_limit_s`.
    """
    sql = contract.transform.sql
    engine = Engine(memory_limit, min(_TEST_LIMIT_S, time_limit_s))
    try:
        return _Trial(engine, contract, test, _Known(inputs(sql), frozenset(examine(sql).computed))).run()[0]
    except (Fatal, RowError, UnfitError, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from error
    finally:
        engine.close()


def _verdict(contract: Contract, test: TransformTest, known: _Known, memory_limit: str, deadline: float) -> Verdict:
    began = time.monotonic()
    engine = Engine(memory_limit, min(_TEST_LIMIT_S, max(deadline - began, 0)))
    try:
        found = tuple(_Trial(engine, contract, test, known).differences())
    except (Fatal, RowError, UnfitError, ValueError, OverflowError, RecursionError) as error:
        found = (Difference("error", "the test", "to run", str(error)),)
    finally:
        engine.close()
    return Verdict(test.name, found, time.monotonic() - began)


class _Trial:
    """One run of one test."""

    def __init__(self, engine: Engine, contract: Contract, test: TransformTest, known: _Known) -> None:
        self._engine = engine
        self._test = test
        self._known = known
        self._declared = {field.name: duckdb_type(arrow_type(field)) for field in contract.schema_.fields}
        before, rows = rows_of(test.before), rows_of(test.given)
        self._before = len(before.rows)
        self._rows = GivenRows([*before.rows, *rows.rows], rows.texts)
        judged = [check for check in contract.checks if self._is_judged(check, contract)]
        self._contract = contract.model_copy(update={"checks": judged})

    def differences(self) -> Iterator[Difference]:
        """What is not as expected. Errors: Fatal, RowError, UnfitError, ValueError."""
        yield from self._compared(*self.run())

    def run(self) -> tuple[expectation.Fates, pa.Schema]:
        """What becomes of the given rows, and the columns that are published. Errors: as `differences`."""
        brought = {name: self._refer(name) for name in self._test.ref}
        given = self._given({column.lower() for names in brought.values() for column in names})
        stage = Transform(self._engine, self._contract, 1, TEST_KEY)
        if self._before:
            stage(_staged(given.slice(0, self._before), self._before, 0))
        count = len(self._rows.rows) - self._before
        fates = _fates(stage(_staged(given.slice(self._before), count, self._before)))
        assert stage.output is not None
        return fates, stage.output

    def _is_judged(self, check: Check, contract: Contract) -> bool:
        """Whether a check is part of the test: one on a dataset that it does not give is not.

        Nor is one on a column that is not given and of no declared type: it is null, which passes, and cannot be compared.
        """
        if isinstance(check, References) and check.dataset not in self._test.ref:
            return False
        known = {*self._declared, *self._known.computed, *contract.source.columns, *self._rows.columns}
        subject = check.subject()
        return subject is None or isinstance(check, NotNull) or subject.lower() in {name.lower() for name in known}

    def _refer(self, dataset: str) -> Sequence[str]:
        """Make the table of another dataset. Returns its columns."""
        checks = [c for c in self._contract.checks if isinstance(c, References) and c.dataset == dataset]
        hints = {check.to: self._declared[check.column] for check in checks if check.column in self._declared}
        rows = rows_of(self._test.ref[dataset])
        given = self._typed(f"ref.{dataset}", rows, {}, hints)
        asked = [*self._known.inputs.of_references.get(dataset, ()), *(check.to for check in checks)]
        missing = _arrow_types(self._engine, {name: hints.get(name, "VARCHAR") for name in asked})
        table = _with_nulls(given, missing, len(rows.rows))
        self._engine.load((create(reference_table(dataset)), table))
        return table.schema.names

    def _given(self, brought: set[str]) -> pa.RecordBatch:
        """The rows of the source, with the columns the transform reads beside those that were given."""
        contract = self._contract
        computed = self._known.computed
        source = {name: duckdb_type(plain_type(word)) for name, word in contract.source.columns.items()}
        passed = {name: kind for name, kind in self._declared.items() if name not in computed}
        given = self._typed("given", self._rows, source, passed)
        perhaps = (name for name in self._known.inputs.perhaps if name.lower() not in brought)
        read = [*source, *self._known.inputs.named, *perhaps]
        if self._known.inputs.passes_on:
            looked_at = [check.subject() for check in contract.checks]
            read += [name for name in looked_at if name and name not in self._declared and name not in computed]
        kinds = {**passed, **source}
        known = {name: kinds[name] for name in read if name in kinds}
        missing = {**dict.fromkeys(read, pa.null()), **_arrow_types(self._engine, known)}
        return _with_nulls(given, missing, len(self._rows.rows))

    def _typed(self, where: str, rows: GivenRows, kinds: dict[str, str], hints: dict[str, str]) -> pa.RecordBatch:
        try:
            return typed(self._engine, rows, kinds, hints)
        except UnfitError as error:
            raise ValueError(f"{where}: {error}") from error

    def _compared(self, fates: expectation.Fates, output: pa.Schema) -> Iterator[Difference]:
        expect = self._test.expect
        yield from expectation.counts(fates, expect.rejected, expect.filtered, expect.flagged)
        yield from expectation.row_count(expect.row_count, len(fates.published))
        if expect.rows is not None:
            rows = rows_of(expect.rows)
            wanted = self._published("expect.rows", rows, output)
            named = [{name: row[name] for name in written} for row, written in zip(wanted, rows.rows, strict=True)]
            yield from differences(named, fates.published, self._contract.key)
        for name, range_ in expect.ranges.items():
            ends = GivenRows([{name: range_.min}, {name: range_.max}])
            low, high = (row[name] for row in self._published(f"expect.ranges.{name}", ends, output))
            yield from expectation.out_of_range(name, low, high, fates.published)

    def _published(self, where: str, rows: GivenRows, output: pa.Schema) -> list[Row]:
        """Rows as values of the types that the published columns have."""
        if unknown := [name for name in rows.columns if name not in output.names]:
            own = [name for name in output.names if not name.startswith("_")]
            raise ValueError(f"{where}: no column {', '.join(unknown)} is published, only {', '.join(own)}")
        fields = [output.field(name).with_nullable(True) for name in rows.columns]
        kinds = {field.name: duckdb_type(field.type) for field in fields}
        given = self._typed(where, rows, kinds, {})
        return _plain_rows(conform(given, pa.schema(fields))) if fields else [{} for _ in rows.rows]


def _arrow_types(engine: Engine, kinds: dict[str, str]) -> dict[str, pa.DataType]:
    """What DuckDB makes of columns of these types of its own."""
    if not kinds:
        return {}
    nulls = ", ".join(f"NULL::{kind} AS c{at}" for at, kind in enumerate(kinds.values()))
    nothing = pa.RecordBatch.from_pylist([], schema=pa.schema([pa.field("nothing", pa.int32())]))
    found = engine.query(f"SELECT {nulls} FROM input", nothing).schema  # noqa: S608 - made by `types.duckdb_type`
    return dict(zip(kinds, found.types, strict=True))


def _with_nulls(rows: pa.RecordBatch, missing: dict[str, pa.DataType], count: int) -> pa.RecordBatch:
    """`rows` with a column of nulls for each of `missing` that they lack. DuckDB's names ignore case."""
    has = {name.lower() for name in rows.schema.names}
    added = {name: kind for name, kind in missing.items() if name.lower() not in has}
    arrays: list[pa.Array] = [*rows.columns]
    for kind in added.values():
        arrays.append(pa.nulls(count, cast(Any, kind)))
    return pa.RecordBatch.from_arrays(arrays, names=[*rows.schema.names, *added])


def _staged(rows: pa.RecordBatch, count: int, first: int) -> Batch:
    """The rows, `count` of them, as the stager would hand them on; the first of them has this offset."""
    batch = Batch(Records.numbered("tests", [None] * count, first=first), rows, 0)
    return replace(batch, rows=staged(batch, 1))


def _fates(outcome: Outcome) -> expectation.Fates:
    [emitted] = outcome.emitted
    assert emitted.rows is not None
    if len(emitted.rows) > _MOST_PUBLISHED:
        raise Fatal(f"{len(emitted.rows):,} rows were made of those given; a test compares at most {_MOST_PUBLISHED:,}")
    published = _plain_rows(emitted.rows)
    # What would wait for a parent counts as rejected by the check: a test knows no later.
    rejected = [(each.row + 1, each.rule or each.reason, each.detail) for each in outcome.rejected]
    rejected += [(each.row + 1, each.rule, each.detail) for each in outcome.parked]
    filtered = {rule: len(rows) for rule, rows in outcome.filtered.items() if len(rows)}
    flagged = Counter(flag for row in published for flag in row[FLAGS])
    return expectation.Fates(published, sorted(rejected), filtered, flagged)


def _plain_rows(rows: pa.RecordBatch) -> list[Row]:
    """The rows as values. What is JSON is read, so that its spelling does not count."""
    texts = {field.name for field in rows.schema if isinstance(field.type, pa.JsonType)}
    return [{name: plain(value) if name in texts else value for name, value in row.items()} for row in rows.to_pylist()]
