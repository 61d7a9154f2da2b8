"""Compares two generations of a dataset in the warehouse: in portions, one comparison of a dataset at a time, within a time."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from headrace.errors import HeadraceError
from services.gateway.adapters.generation_sides import Sides
from services.gateway.adapters.inquiry import Part
from services.gateway.adapters.warehouse import QueryError, Warehouse
from services.gateway.core import generation_queries as queries
from services.gateway.core.datasets import DatasetVersion, Refusal
from services.gateway.core.generation_diff import Comparison, Side, bound_of, compare
from services.gateway.core.generation_fold import Differences, SampleRows, Sums, sample
from services.gateway.core.generation_report import by_cause, by_rule, report
from services.gateway.core.generation_values import Column

_TOO_SLOW: Final = 159
_TOO_LARGE: Final = 241
_NO_GENERATION: Final = "no-such-generation"
_SETTINGS: Final = {"max_bytes_before_external_group_by": queries.SPILL_BYTES}


class DiffRefusedError(HeadraceError):
    """Generations cannot be compared, or not now. `code` names the kind of problem."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def not_found(self) -> bool:
        """Whether it is that there is no such generation."""
        return self.code == _NO_GENERATION


class GenerationDiffs:
    """The comparisons that run in this gateway. `filtered` gives what the books say a generation filtered, by rule."""

    def __init__(
        self,
        warehouse: Warehouse,
        sides: Sides,
        filtered: Callable[[str, int], Mapping[str, int]],
        most_s: float,
        portion_rows: int = queries.PORTION_ROWS,
    ) -> None:
        self._warehouse = warehouse
        self._sides = sides
        self._filtered = filtered
        self._most_s = most_s
        self._portion_rows = portion_rows
        self._turn = threading.Lock()
        self._running: set[str] = set()

    def parts(self, dataset: DatasetVersion, generation: int, against: int, samples: int) -> Iterator[Part]:
        """How far the comparison is, as it goes on; at last the `report`, or why there is none: `failure`.

        Errors, before the first part only: DiffRefusedError, QueryError, Transient. Closing the iterator ends the comparison,
        once the query that runs is answered.
        """
        with self._alone(dataset.name):
            run = _Run(self._warehouse, time.monotonic() + self._most_s, self._most_s, self._portion_rows)
            before, after = (self._side(dataset, number) for number in (against, generation))
            prepared = run.prepared(before, after)
            yield Part("progress", {"rows": 0, "of": 2 * sum(run.seen)})
            try:
                yield from run.compared(prepared, samples)
                # When a row that was set aside or filtered had been ingested is not known: nothing is said of them in a range.
                of_rules = (
                    []
                    if prepared.ranged
                    else by_rule(*(self._filtered(dataset.name, number) for number in (against, generation)))
                )
                yield Part("report", run.report | {"dataset": dataset.name, "filtered": of_rules})
            except (DiffRefusedError, QueryError) as error:
                refused = _refused(error, self._most_s)
                yield Part("failure", {"code": refused.code, "message": str(refused)})

    def _side(self, dataset: DatasetVersion, generation: int) -> Side:
        found = self._sides(dataset, generation)
        if found is None:
            raise DiffRefusedError(
                _NO_GENERATION,
                f"{dataset.name} has no generation {generation}; its live one is {dataset.generation}",
            )
        return found

    @contextmanager
    def _alone(self, dataset: str) -> Iterator[None]:
        with self._turn:
            if dataset in self._running:
                raise DiffRefusedError(
                    "diff-running", f"generations of {dataset} are being compared already: wait until that has ended"
                )
            self._running.add(dataset)
        try:
            yield
        finally:
            with self._turn:
                self._running.discard(dataset)


class _Run:
    """One comparison."""

    def __init__(self, warehouse: Warehouse, deadline: float, most_s: float, portion_rows: int) -> None:
        self._warehouse = warehouse
        self._deadline = deadline
        self._most_s = most_s
        self._portion_rows = portion_rows
        self._quarantine = queries.NO_QUARANTINE
        self._bound: queries.Bound = None
        self._reached: list[dict[int, int]] = []
        self.seen: list[int] = []
        self.report: dict[str, Any] = {}

    def prepared(self, before: Side, after: Side) -> Comparison:
        """How they are compared. From here on, what is loaded meanwhile makes no difference."""
        if before.generation == after.generation:
            raise DiffRefusedError(
                "same-generation", "a generation does not differ from itself: name another with `against`"
            )
        held = [self._columns(side) for side in (before, after)]
        comparison = compare(before, after, *held)
        if isinstance(comparison, Refusal):
            raise DiffRefusedError(comparison.code, comparison.detail)
        self._quarantine = self._quarantine_of(after)
        aside = self._rows(queries.aside_reached((before.generation, after.generation)), queries.MOST_PARTITIONS)
        self._reached = [self._reach(side, aside) for side in (before, after)]
        self._bound = bound_of(*self._reached) if before.staged == after.staged else None
        self.seen = [int(self._rows(queries.seen(side), 1)[0][0]) for side in (before, after)]
        return comparison

    def compared(self, comparison: Comparison, samples: int) -> Iterator[Part]:
        """Fills `report`; tells how far it is."""
        sums, total = Sums(comparison), sum(self.seen)
        for portion in queries.portions(total, self._portion_rows):
            sums.add(self._rows(queries.sums(comparison, self._bound, portion), 2 * queries.BUCKETS))
            done = sums.rows(0) + sums.rows(1)
            yield Part("progress", {"rows": min(done, total), "of": 2 * total})
        differing = sums.differing()
        found, pairs = Differences(sums.pairs()), sums.pairs()
        done, of = total, total + sum(differing.values())
        for pack in queries.packed(differing, self._portion_rows):
            [row] = self._rows(queries.differing(comparison, pairs, self._bound, pack, samples), 1)
            found.add(row, samples)
            done += sum(differing[bucket] for bucket in pack)
            yield Part("progress", {"rows": done, "of": of})
        rows = self._sampled(comparison, found, 0), self._sampled(comparison, found, 1)
        shown = [sample(comparison, pairs, one, rows) for one in found.samples]
        self.report = report(comparison, self._bound, self._reached, self.seen, sums, found) | {
            "samples": [each for each in shown if each is not None],
            "quarantine": [] if comparison.ranged else by_cause(self._causes(comparison)),
        }

    def _causes(self, comparison: Comparison) -> list[list[Any]]:
        return self._rows(queries.aside(comparison, self._bound), queries.MOST_CAUSES)

    def _sampled(self, comparison: Comparison, found: Differences, at: int) -> SampleRows:
        wanted = found.wanted(at)
        rows = self._rows(queries.sampled(comparison, found.pairs, at, wanted), len(wanted)) if wanted else []
        return {(match, row): rest for match, row, *rest in rows}

    def _columns(self, side: Side) -> list[Column]:
        held = [Column(*row) for row in self._rows(queries.held(side), queries.MOST_COLUMNS)]
        if not held:
            raise DiffRefusedError(
                "nothing-loaded",
                f"generation {side.generation} of {side.contract.dataset} has no table yet: the loader makes it "
                "with the first row; see what has become of its rows in its books and in quarantine",
            )
        return held

    def _quarantine_of(self, side: Side) -> str:
        known = {str(row[0]) for row in self._rows(queries.quarantine_columns(side), queries.MOST_COLUMNS)}
        return queries.quarantine(side, known)

    def _reach(self, side: Side, aside: list[list[Any]]) -> dict[int, int]:
        """The last raw offset of each partition of which the side shows what became of it."""
        if side.reached is not None:
            return dict(side.reached)
        found = {
            int(partition): int(offset)
            for partition, offset in self._rows(queries.reached(side), queries.MOST_PARTITIONS)
        }
        for generation, partition, offset in aside:
            if generation == side.generation:
                found[partition] = max(found.get(partition, -1), offset)
        return found

    def _rows(self, sql: str, most: int) -> list[list[Any]]:
        if time.monotonic() > self._deadline:
            raise _too_long(self._most_s)
        asked = sql.replace("{quarantine}", self._quarantine)
        return self._warehouse.query(asked, most, settings=_SETTINGS).rows


def _refused(error: DiffRefusedError | QueryError, most_s: float) -> DiffRefusedError:
    if isinstance(error, DiffRefusedError):
        return error
    if error.code == _TOO_SLOW:
        return _too_long(most_s)
    if error.code == _TOO_LARGE:
        return DiffRefusedError("diff-too-large", f"the warehouse has not enough memory for the comparison: {error}")
    return DiffRefusedError("failed-query", f"the warehouse refused the comparison: {error}")


def _too_long(most_s: float) -> DiffRefusedError:
    return DiffRefusedError(
        "diff-too-long",
        f"the comparison was given up: it may take {most_s:g} s, and a single query of it the time of any query. "
        "Give the gateway more with HEADRACE_DIFF_TIMEOUT_S or HEADRACE_QUERY_TIMEOUT_S, or try when the warehouse "
        "has less to do",
    )
