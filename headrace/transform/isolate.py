"""Finds the rows that a query fails on, when all the engine says is that the whole batch failed."""

from collections.abc import Callable
from typing import Final, TypeVar

from headrace.errors import Fatal

T = TypeVar("T")

#: A part that fails is cut into this many. More costs more tries when one row is bad, fewer when all are.
_FANOUT: Final = 8


class RowError(Exception):
    """The engine fails on a value of the rows it was given. The message is the engine's."""

    reason = "transform_error"


class TooCostly(RowError):
    """Some rows take more time or memory than they may. Units: `took_s` is how long it was until that was known."""

    reason = "too_costly"

    def __init__(self, message: str, took_s: float) -> None:
        super().__init__(message)
        self.took_s = took_s

    def __reduce__(self) -> tuple[type["TooCostly"], tuple[str, float]]:
        return TooCostly, (str(self), self.took_s)


class Overtaxed(Fatal):
    """The SQL takes so much on so many rows, or so wholly, that going on would hold everything up."""


def isolate(
    run: Callable[[int, int], T], rows: int, known: RowError | None = None
) -> tuple[list[T], list[tuple[int, RowError]]]:
    """The results of `run(start, stop)` over the parts of `0..rows` that succeed, in order, and (row, error) of each row
    that fails alone. `known` is how all of them together fail, if that was tried."""
    results: list[T] = []
    failures: list[tuple[int, RowError]] = []
    parts = [(0, rows)] if rows else []
    while parts:
        start, stop = parts.pop()
        try:
            if known is not None:
                error, known = known, None
                raise error
            results.append(run(start, stop))
        except RowError as error:
            if stop - start <= 1:
                failures.append((start, error))
                continue
            step = -(-(stop - start) // _FANOUT)
            cuts = range(start, stop, step)
            parts.extend((cut, min(cut + step, stop)) for cut in reversed(cuts))
    return results, failures
