"""Finds the rows that a query fails on, when all the engine says is that the whole batch failed."""

from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

#: A part that fails is cut into this many. More costs more tries when one row is bad, fewer when all are.
_FANOUT: Final = 8


class RowError(Exception):
    """The engine fails on a value of the rows it was given. The message is the engine's."""


def isolate(run: Callable[[int, int], T], rows: int) -> tuple[list[T], list[tuple[int, str]]]:
    """The results of `run(start, stop)` over the parts of `0..rows` that succeed, in order, and (row, message) of each row
    that fails alone."""
    results: list[T] = []
    failures: list[tuple[int, str]] = []
    parts = [(0, rows)] if rows else []
    while parts:
        start, stop = parts.pop()
        try:
            results.append(run(start, stop))
        except RowError as error:
            if stop - start <= 1:
                failures.append((start, str(error)))
                continue
            step = -(-(stop - start) // _FANOUT)
            cuts = range(start, stop, step)
            parts.extend((cut, min(cut + step, stop)) for cut in reversed(cuts))
    return results, failures
