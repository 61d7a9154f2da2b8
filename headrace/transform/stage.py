"""The transformer's stage: what the dataset's SQL and its checks make of a batch, with a fate for every row.

One row that became several has one fate: if a rejecting check fails on any of them, the row they came from is
quarantined whole, so that a repaired record cannot double those that had already gone on.
"""

import math
import time
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from pydantic import SecretStr

from headrace.contract import NO_MATCH, CompiledTransform, Contract, References, compile_transform, reference_table
from headrace.errors import Fatal
from headrace.stream import columns
from headrace.stream.codec import conform
from headrace.stream.overrides import Decisions
from headrace.stream.stage import Batch, Emitted, Outcome, Rejection
from headrace.transform import parents
from headrace.transform.checks import Rule
from headrace.transform.engine import INPUT, Engine
from headrace.transform.holding import holding
from headrace.transform.isolate import Overtaxed, RowError, TooCostly, isolate
from headrace.transform.judgement import ROW, Judgement, judgement
from headrace.transform.personal import functions
from headrace.transform.publish import published, verdicts
from headrace.transform.quoting import quoted
from headrace.transform.seen import Seen
from headrace.transform.shortcuts import sole_rule, suspects_sql
from headrace.transform.sizes import MOST_BYTES, oversized
from headrace.transform.types import arrow_type
from headrace.transform.uniques import Uniques, parted

#: The most rows of a batch that are tried one by one for DuckDB's own message.
_MOST_TRIED: Final = 50
#: How long a batch may be held up by rows that take too much, before the dataset stops. Kafka gives a consumer 300 s a delivery
#: (`headrace.stream.pump`); one row in 50,000 is found in less with any limit of time that can be set.
_MOST_LOST_S: Final = 150.0
#: ... or, with the tries that succeed and the processes that are started anew in between, a while longer.
_MOST_TOOK_S: Final = 200.0
#: What a part of a batch may take that is only tried to find the row at fault: this share of the limit, and so many times what
#: a query takes on one row.
_SHARE: Final = 0.25
_TIMES: Final = 4.0
#: With more rows than so many, looking first for what a batch asks for takes less than it spares.
_MANY: Final = 50_000
_GROWN: Final = f"what the SQL makes of the row is over {MOST_BYTES:,} bytes"


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows of one shape are transformed. `input` is the dataset's own columns; `output` is what is published."""

    input: pa.Schema
    judgement: Judgement
    output: pa.Schema


class Transform:
    """See `headrace.stream.stage.Stage`. `version` is that of the dataset file in force."""

    name = "transformer"

    def __init__(
        self,
        engine: Engine,
        contract: Contract,
        version: int,
        hash_key: SecretStr | None = None,
        seen: Seen | None = None,
        decisions: Decisions | None = None,
    ) -> None:
        """`hash_key` is the secret that `transform.hash_key` names; `seen` what rows had before, for checks of kind unique: if
        nothing is given, only the rows that this stage is shown count. `decisions` are about rows that are held: if none are
        given, nothing waits, and checks of severity hold reject. Errors: Fatal when the key is too short to be one.
        """
        if decisions is None:
            contract = _without_holds(contract)
        self._decisions = decisions or Decisions()
        engine.define(functions(contract.dataset, hash_key))
        self._engine = engine
        self._contract = contract
        self._compiled: CompiledTransform = compile_transform(contract)
        self._suspects_sql = suspects_sql(self._compiled.sql)
        self._sole_rule = sole_rule(self._compiled)
        self._version = version
        self._plan: Plan | None = None
        self._uniques = Uniques(contract.checks, seen, self._decisions)
        self._lost_s = 0.0
        self._until = math.inf

    @property
    def output(self) -> pa.Schema | None:
        """The schema that is published; None before the first rows were prepared for."""
        return self._plan.output if self._plan is not None else None

    def prepare(self, staged: pa.Schema) -> pa.Schema:
        """Get ready for rows of this shape, beside those seen before. Returns the schema that is published.

        Errors: Fatal when the dataset's SQL does not fit its rows.
        """
        return self._plan_for(staged).output

    def confirm(self, published: pa.RecordBatch) -> None:
        """Learn of rows that went on before, in their order, for checks of kind unique. After `prepare`. Errors: Fatal."""
        assert self._plan is not None
        self._uniques.confirm(published, self._plan.output)

    def __call__(self, batch: Batch) -> Outcome:
        """See `headrace.stream.stage.Stage`. Errors: Fatal, which names the rows where they are at fault."""
        self._lost_s = 0.0
        self._until = time.monotonic() + _MOST_TOOK_S
        try:
            return self._outcome(batch)
        except (Overtaxed, RowError) as error:  # the second: of what Headrace itself asks of rows
            raise Fatal(f"{error}; {_place(batch)}") from error
        finally:
            self._until = math.inf

    def _outcome(self, batch: Batch) -> Outcome:
        plan = self._plan_for(batch.rows.schema)
        rows = _numbered(conform(batch.rows, plan.input))
        judged, failed = self._judged(plan, rows)
        row = judged.column(ROW).to_numpy()
        if (order := parents.order(row)) is not None:
            judged, row = judged.take(pa.array(order, pa.int64())), row[order]
        left_out = ~parents.members(row, len(rows))
        left_out[[rejection.row for rejection in failed]] = False
        filtered, unexplained = self._filtered(rows, np.flatnonzero(left_out))
        rejected, parked = verdicts(plan.judgement, judged, row)
        for of in row[oversized(judged)].tolist():
            rejected.setdefault(of, Rejection(of, "too_large", _GROWN))
            parked.pop(of, None)
        aside, held = self._holding(plan, judged, row, batch.rows, {*rejected, *parked})
        if held is not None:
            return Outcome((), held=held)
        rejected |= aside
        if rejected or parked:
            kept = np.flatnonzero(~parents.members(np.fromiter((*rejected, *parked), np.int64), len(rows))[row])
            judged, row = judged.take(pa.array(kept, pa.int64())), row[kept]
        output = published(plan.judgement, plan.output, batch.rows, judged, row, self._version)
        said = self._uniques.judged(output, row)
        if said.held is not None:
            return Outcome((), held=said.held)
        emitted = Emitted(pa.array(said.row, pa.int64()), said.rows)
        aside_for_good = [*rejected.values(), *failed, *unexplained, *said.rejected]
        return Outcome((emitted,), filtered, aside_for_good, list(parked.values()))

    def _holding(
        self,
        plan: Plan,
        judged: pa.RecordBatch,
        row: parents.Int64s,
        staged: pa.RecordBatch,
        settled: Container[int],
    ) -> tuple[dict[int, Rejection], Rejection | None]:
        """See `headrace.transform.holding.holding`."""

        def showing(rule: Rule, rows: pa.RecordBatch) -> list[str | None]:
            sql = f"SELECT {rule.found} FROM {INPUT}"  # noqa: S608 - made by `headrace.transform.checks`
            return self._engine.query(sql, rows).column(0).to_pylist() if len(rows) else []

        return holding(plan.judgement, judged, row, staged, self._decisions, settled, showing)

    def _plan_for(self, staged: pa.Schema) -> Plan:
        """The plan for rows of this shape: kept while no column is new, so that the published schema stays the same."""
        rows = _own(staged)
        if self._plan is not None and rows != self._plan.input:
            try:
                rows = pa.unify_schemas([self._plan.input, rows], promote_options="permissive")
            except pa.ArrowException as error:
                raise Fatal(
                    f"{self._contract.dataset} has records whose columns no single schema fits: {error}"
                ) from error
        if self._plan is None or rows != self._plan.input:
            self._plan = self._planned(rows)
        return self._plan

    def _planned(self, rows: pa.Schema) -> Plan:
        sql = self._compiled.sql
        try:
            produced = self._engine.produced(sql, pa.schema([pa.field(ROW, pa.int64()), *rows]))
        except RowError as error:  # constants are computed before there is a row
            raise Fatal(f"the SQL of {self._contract.dataset} fails on every row: {error}") from error
        self._refuse_namesakes([name for name, _ in produced])
        made = judgement(sql, produced, self._contract.schema_, self._contract.checks, self._refers_to_many(rows))
        self._refuse_parted(dict(produced), {column.name: column.type for column in made.published})
        own = [pa.field(column.name, arrow_type(column.type), not column.required) for column in made.published]
        plan = Plan(rows, made, pa.schema([*own, *columns.TRANSFORMED_FIELDS]))
        self._judged(plan, _numbered(pa.RecordBatch.from_pylist([], schema=rows)))  # a query that fits no row fails now
        return plan

    def _refers_to_many(self, rows: pa.Schema) -> bool:
        """Whether a check refers to so much that it is better to look first for what a batch asks for."""
        tables = {reference_table(check.dataset) for check in self._contract.checks if isinstance(check, References)}
        counts = [f"(SELECT count(*) FROM {quoted(table)})" for table in sorted(tables)]  # noqa: S608
        if not counts:
            return False
        sql = f"SELECT greatest({', '.join(counts)}) AS n"
        return bool(self._engine.query(sql, pa.RecordBatch.from_pylist([], schema=rows)).column(0)[0].as_py() > _MANY)

    def _refuse_namesakes(self, names: Sequence[str]) -> None:
        """Errors: Fatal when two columns have one name, which would lose one of them. DuckDB's names ignore case."""
        count = Counter(name.lower() for name in names)
        if twice := sorted({name for name in names if count[name.lower()] > 1}):
            raise Fatal(
                f"the SQL of {self._contract.dataset} gives more than one column called {', '.join(twice)}: its * brings one "
                f"of the source. Leave that out with * EXCLUDE ({twice[0]}), or give the other another name, and apply the file"
            )

    def _refuse_parted(self, given: Mapping[str, str], published: Mapping[str, str]) -> None:
        """Errors: Fatal when rows with one key as published may stand in two partitions, where no check sees both."""
        if (name := parted(self._contract, given, published)) is not None:
            raise Fatal(
                f"{self._contract.dataset} has a check of kind unique, and its key {name} comes as text and is published as "
                f"{published[name]}: '1' and '01' would be one key in two partitions. Give the column that type in "
                "source.columns, or set `partitions: 1` for a new dataset, and apply the file"
            )

    def _judged(self, plan: Plan, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, list[Rejection]]:
        """The rows that can be computed with their verdicts, and the rejections of those that cannot."""
        sql = plan.judgement.sql
        try:
            return self._query(sql, rows), []
        except TooCostly as error:
            suspects, known = {}, error
        except RowError:
            suspects, known = self._suspects(rows), None
        suspected = parents.members(np.fromiter(suspects, np.int64), len(rows))
        parts, failed = self._one_by_one(sql, rows.filter(pa.array(~suspected)), known)
        if len(suspects) > _MOST_TRIED:
            failed += suspects.values()
        else:
            more_parts, more_failed = self._one_by_one(sql, rows.filter(pa.array(suspected)))
            parts, failed = parts + more_parts, failed + more_failed
        parts = parts or [self._nothing(sql, rows)]
        return pa.concat_batches(parts), failed  # type: ignore[attr-defined]  # the stubs lack it

    def _one_by_one(
        self, sql: str, rows: pa.RecordBatch, known: RowError | None = None
    ) -> tuple[list[pa.RecordBatch], list[Rejection]]:
        """The results of `sql`, and the rows that it fails on, found by trying ever smaller parts. `known`: see `isolate`."""
        short_s = self._short_s(sql, rows) if isinstance(known, TooCostly) else math.inf

        def run(start: int, stop: int) -> pa.RecordBatch:
            nonlocal short_s
            part = rows.slice(start, stop - start)
            try:
                return self._query(sql, part, short_s if len(part) > 1 else math.inf)
            except TooCostly:
                short_s = short_s if short_s < math.inf else self._short_s(sql, part)
                raise

        parts, failures = isolate(run, len(rows), known)
        if len(failures) == len(rows) > 1 and all("Out of Memory" in str(error) for _, error in failures):
            raise Fatal(f"no row fits into the memory of the transform beside the reference data: {failures[0][1]}")
        numbers = rows.column(ROW)
        return parts, [Rejection(numbers[at].as_py(), error.reason, str(error)) for at, error in failures]

    def _short_s(self, sql: str, rows: pa.RecordBatch) -> float:
        """How long a part may take that is tried on the way to the row at fault; that row alone may take the whole limit."""
        began, one_row_s = time.monotonic(), 0.0
        with suppress(RowError):  # where it is the first row that is at fault, its time says nothing of the others
            self._query(sql, rows.slice(0, 1))
            one_row_s = time.monotonic() - began
        return max(_SHARE * self._engine.query_limit_s, _TIMES * one_row_s)

    def _query(self, sql: str, rows: pa.RecordBatch, most_s: float = math.inf) -> pa.RecordBatch:
        """Errors: RowError; Overtaxed when that was too costly for too long."""
        if time.monotonic() > self._until:
            raise Overtaxed(f"the SQL was tried for {_MOST_TOOK_S:g} s on ever fewer rows: correct it, or give it more")
        try:
            return self._engine.query(sql, rows, most_s)
        except TooCostly as error:
            self._lost_s += error.took_s
            if self._lost_s > _MOST_LOST_S:
                raise Overtaxed(f"{error}, on many rows: correct the SQL, or give it more") from error
            raise

    def _nothing(self, sql: str, rows: pa.RecordBatch) -> pa.RecordBatch:
        """What the query makes of no row. Errors: Fatal when it fails whatever the rows are."""
        try:
            return self._engine.query(sql, rows.slice(0, 0))
        except RowError as error:
            raise Fatal(f"the SQL of {self._contract.dataset} fails on every row: {error}") from error

    def _suspects(self, rows: pa.RecordBatch) -> dict[int, Rejection]:
        """The rows on which an expression of the dataset's SQL fails; none where only trying can tell."""
        if self._suspects_sql is None:
            return {}
        try:
            found = self._query(self._suspects_sql, rows)
        except RowError:
            return {}
        each = zip(*(column.to_pylist() for column in found.columns), strict=True)
        return {row: Rejection(row, "transform_error", detail, column=column) for row, column, detail in each}

    def _filtered(
        self, rows: pa.RecordBatch, left_out: parents.Int64s
    ) -> tuple[dict[str, pa.Int64Array], list[Rejection]]:
        """The rows that the SQL left out by the rule that did, and those for which that cannot be computed."""
        sql = self._compiled.attribution_sql
        if len(left_out) == 0:
            return {}, []
        if self._sole_rule is not None or sql is None:
            return {self._sole_rule or NO_MATCH: pa.array(left_out, pa.int64())}, []
        parts, failed = self._one_by_one(sql, rows.take(pa.array(left_out, pa.int64())))
        rules = [*self._compiled.rules, NO_MATCH]
        found: dict[str, pa.Int64Array] = {}
        for part in parts:
            row, rule = part.column(0).to_numpy(), part.column(1).to_numpy()
            for at in np.unique(rule):
                mine = np.sort(row[rule == at])
                found[rules[at]] = pa.concat_arrays([*filter(None, [found.get(rules[at])]), pa.array(mine, pa.int64())])
        return found, failed


def _without_holds(contract: Contract) -> Contract:
    """The contract where nobody can be asked: what would be held is set aside."""
    checks = [c.model_copy(update={"severity": "reject"}) if c.severity == "hold" else c for c in contract.checks]
    return contract.model_copy(update={"checks": checks})


def _place(batch: Batch) -> str:
    """Where the rows of a batch are."""
    offset = batch.raw.offset.to_numpy()
    partitions = ", ".join(str(each) for each in sorted(set(batch.raw.partition.to_numpy().tolist())))
    return f"it was at {batch.raw.topic} partition {partitions}, offsets {offset.min()} to {offset.max()}"


def _own(staged: pa.Schema) -> pa.Schema:
    """The dataset's own columns; each may be null, as an older record may lack it."""
    return pa.schema(
        [staged.field(name).with_nullable(True).remove_metadata() for name in columns.user_columns(staged)]
    )


def _numbered(rows: pa.RecordBatch) -> pa.RecordBatch:
    """`rows` with their places in the batch beside them, by which results find back to them."""
    place = pa.array(np.arange(len(rows), dtype=np.int64))
    return pa.RecordBatch.from_arrays([place, *rows.columns], names=[ROW, *rows.schema.names])
