"""Source rows that cannot be read, and how they are set aside."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from headrace.connector import SourceRow


@dataclass(frozen=True, slots=True)
class Fault:
    """Why record `row` of a block cannot be read. `reason` is a code of `headrace.stream.reasons`."""

    row: int
    reason: str
    detail: str
    column: str | None = None


def set_aside(
    faults: Iterable[Fault],
    raw: Callable[[Fault], bytes],
    place: Callable[[int], str],
    fields: Callable[[Fault], str | None] = lambda _: None,
) -> tuple[SourceRow, ...]:
    """The rows of a block that have faults, one each, where all others were read: in order, and each behind those in front of it.

    `raw` and `fields` give what the source had, `place` where a row of the block was. See `headrace.connector.SourceRow`.
    """
    return tuple(
        SourceRow(
            raw(fault), fault.reason, fault.detail, place(fault.row), fault.column, fields(fault), fault.row - before
        )
        for before, fault in enumerate(sorted(faults, key=lambda fault: fault.row))
    )
