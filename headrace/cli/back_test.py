"""How a back-test is followed, and what it found is shown."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from rich.console import RenderableType

from headrace.cli.progress import WorkBoard
from headrace.cli.render import count, moment, number, safe, table
from headrace.client import BackTestPart, BackTestSample, Client
from headrace.errors import HeadraceError

_SHOWN: Final = 3  # samples of each
_MOST_ROWS: Final = 2_000_000
_MOST_HOURS: Final = 366 * 24
_HOURS: Final = {"h": 1, "d": 24}


class Span(NamedTuple):
    """Over how much: so many of the newest rows, or those of so many hours."""

    rows: int | None = None
    hours: int | None = None


def span_of(text: str) -> Span:
    """`100000`, `3d` or `12h`. Errors: HeadraceError."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})([dh]?)", text.strip())
    number, unit = (int(found[1]), found[2]) if found else (0, "")
    span = Span(hours=number * _HOURS[unit]) if unit else Span(rows=number)
    if not number or (span.rows or 0) > _MOST_ROWS or (span.hours or 0) > _MOST_HOURS:
        raise HeadraceError(
            f"--back-test {text}: so many of the newest rows, as in 100000 (at most {_MOST_ROWS:,}), or those of the last "
            "days or hours, as in 3d or 12h (at most 366d)."
        )
    return span


def back_tested(client: Client, dataset: str, document: str, span: Span) -> BackTestPart:
    """What the file would make of the newest rows, or why that cannot be said. Shows how far it is."""
    try:
        with WorkBoard(f"{dataset} over its newest rows") as board:
            for part in client.datasets.back_test(document, span.rows, hours=span.hours):
                if part.part != "progress":
                    return part
                board.update(part.rows, part.of)
    except HeadraceError as error:
        return BackTestPart(part="failure", message=str(error))
    return BackTestPart(part="failure", message="it ended without an answer; try again")


def shown(dataset: str, report: BackTestPart) -> Iterator[RenderableType]:
    """What was found."""
    if report.part == "failure":
        yield f"[bold]{safe(dataset)}[/]: [bold red]the back-test failed[/]: {safe(report.message)}"
        return
    yield (
        f"[bold]{safe(dataset)}[/]: {count(report.rows, 'row')} put to version {report.version} and to this file"
        + (f", ingested from {moment(report.first)} to {moment(report.last)}" if report.rows else "")
    )
    if not report.rows:
        yield "    No row of that time is in the staged topic: nothing can be said."
        return
    if report.left_out:
        yield f"    [yellow]About {count(report.left_out, 'older row')} of that time were left out[/]: the newest were taken."
    if not (report.moves or report.columns or _other_counts(report)):
        yield f"    Every row has the same fate, and every value is the same {_of_columns(report)}"
        return
    yield from _counts(report)
    for move in report.moves:
        yield f"    [yellow]{count(move.rows, 'row')}[/]: {safe(move.before)} [bold]→ {safe(move.after)}[/]"
        told = "before" if move.after.fate == "loaded" else "after"
        for each in move.samples[:_SHOWN]:
            yield f"        {_place(each)} {safe(getattr(each, told))} [dim]{safe(each.row)}[/]"
    for column in report.columns:
        share = f"{number(column.rows)} of {count(report.compared, 'row')}"
        yield f"    [yellow]{safe(column.column)}[/] has another value in {share}"
        for each in column.samples[:_SHOWN]:
            yield f"        {_place(each)} {safe(each.before)} → {safe(each.after)}"
    for word, names in (("added", report.columns_added), ("removed", report.columns_removed)):
        if names:
            yield f"    columns {word}: {safe(', '.join(names))}"


def _counts(report: BackTestPart) -> Iterator[RenderableType]:
    """The fates and flags that differ in number."""
    lines: list[tuple[str, int, int]] = [(str(each), each.before, each.after) for each in report.fates]
    lines += [("rows published", report.published.before, report.published.after)]
    lines += [(f"flagged by {each.flag}", each.before, each.after) for each in report.flags]
    grid = table("rows", "live", "this file", "difference", right=("live", "this file", "difference"))
    for what, before, after in lines:
        grid.add_row(safe(what), number(before), number(after), f"{after - before:+,}" if after != before else "")
    yield grid


def _other_counts(report: BackTestPart) -> Sequence[Any]:
    """What differs in number only: rows that became more or fewer, flags, rows filtered by another rule."""
    counts: list[Any] = [report.published, *report.flags, *report.fates]
    return [each for each in counts if each.before != each.after]


def _of_columns(report: BackTestPart) -> str:
    if not report.columns_added and not report.columns_removed:
        return "in every column."
    changes = [f"{', '.join(report.columns_added)} added"] if report.columns_added else []
    changes += [f"{', '.join(report.columns_removed)} removed"] if report.columns_removed else []
    return f"in the columns that both have ({safe('; '.join(changes))})."


def _place(sample: BackTestSample) -> str:
    return f"[dim]{sample.partition}-{sample.offset}[/]"
