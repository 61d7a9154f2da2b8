"""The command that shows what differs between two generations of a dataset."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import typer
from rich.console import RenderableType

from headrace.cli.observe import DatasetArgument
from headrace.cli.progress import WorkBoard
from headrace.cli.render import NOTHING, Format, Output, command, count, emit, moment, number, safe, table
from headrace.cli.session import session_of
from headrace.client import Client
from headrace.client.results.generation_diffs import DiffColumn, DiffPart, DiffSample
from headrace.errors import HeadraceError

_VALUE: Final = 60  # characters of a value in a table
_COLUMNS: Final = 4  # of a row that is only on one side


def diff(
    context: typer.Context,
    dataset: DatasetArgument,
    generation: Annotated[
        int | None,
        typer.Option(
            "--generation", min=1, help="The generation to look at.", show_default="the one after the live one"
        ),
    ] = None,
    against: Annotated[
        int | None, typer.Option("--against", min=1, help="The one before it.", show_default="the live one")
    ] = None,
    sample: Annotated[int, typer.Option("--sample", min=0, max=100, help="The most rows to show of each kind.")] = 20,
    output: Output = Format.TABLE,
) -> None:
    """Show what differs between two generations of a dataset: rows added, removed and changed, and in which columns.

    Both may go on loading: they are compared up to what both have got to, which is said.

    Examples:

        headrace diff nyc.flights
        headrace diff nyc.flights --generation 3 --against 1 --sample 5
        headrace diff nyc.flights -o json | jq '.columns[] | select(.rows > 0)'
    """
    with session_of(context).client() as client:
        wanted = generation or client.datasets.get(dataset).generation + 1
        report = _followed(client, dataset, wanted, against, sample)
    emit(report.model_dump(exclude={"part", "code", "message", "of"}), output, lambda: shown(report))


def _followed(client: Client, dataset: str, generation: int, against: int | None, sample: int) -> DiffPart:
    """The report. Shows how far it is. Errors: HeadraceError when there is none."""
    with WorkBoard(f"{dataset}: generation {generation}") as board:
        for part in client.generations.diff(dataset, generation, against=against, sample=sample):
            if part.part == "report":
                return part
            if part.part == "failure":
                raise HeadraceError(f"The generations could not be compared ({part.code}): {part.message}")
            board.update(part.rows, part.of)
    raise HeadraceError("The comparison ended without an answer; try again.")


def shown(report: DiffPart) -> Iterator[RenderableType]:
    """What differs."""
    before, after = report.before, report.after
    yield (
        f"[bold]{safe(report.dataset)}[/]: generation {after.generation} (version {after.version}) against generation "
        f"{before.generation} (version {before.version}), rows matched by {_matched(report)}"
    )
    if report.ingested_from or report.ingested_to:
        begin, end = moment(report.ingested_from), moment(report.ingested_to)
        yield f"  only rows ingested from {begin} to {end}; what was set aside or filtered is not compared in a range"
    else:
        yield from _left_out(report)
    rows = table(
        "rows",
        "before",
        "after",
        "added",
        "removed",
        "changed",
        right=("before", "after", "added", "removed", "changed"),
    )
    rows.add_row("compared", *map(number, (before.rows, after.rows, report.added, report.removed, report.changed)))
    yield rows
    if report.removed_quarantined_after:
        removed = count(report.removed_quarantined_after, "removed row")
        yield f"  {removed}: generation {after.generation} quarantined the raw record"
    if report.added_quarantined_before:
        added = count(report.added_quarantined_before, "added row")
        yield f"  {added}: generation {before.generation} quarantined the raw record"
    yield from _columns(report)
    yield from _sums(report)
    yield from _causes(report)
    yield from _samples(report.dataset, report.samples)
    if not (report.added or report.removed or report.changed):
        yield "No row differs."


def _matched(report: DiffPart) -> str:
    if report.matched_by == "key":
        return f"key ({safe(', '.join(report.key))})"
    return "the raw record they were made of"


def _left_out(report: DiffPart) -> Iterator[RenderableType]:
    """What is not compared, where something is not."""
    for side in (report.before, report.after):
        if side.left_out:
            yield (
                f"[yellow]{count(side.left_out, 'row')} of generation {side.generation} left out[/]: the other "
                "has not come so far yet, or a newer row of the key is on its way"
            )
    if report.before.left_out or report.after.left_out:
        ends = ", ".join(f"{each.partition}:{NOTHING if each.offset is None else each.offset}" for each in report.upto)
        yield f"  compared up to raw offset {safe(ends)}"


def _columns(report: DiffPart) -> Iterator[RenderableType]:
    differing = [each for each in report.columns if each.rows or each.type_before != each.type_after]
    if differing:
        columns = table("column", "changed in rows", "type", "compared by", right=("changed in rows",))
        for each in sorted(differing, key=lambda one: -one.rows):
            columns.add_row(safe(each.column), number(each.rows), safe(_type(each)), safe(each.compared_by))
        yield columns
    for word, names in (("added", report.columns_added), ("removed", report.columns_removed)):
        if names:
            yield f"columns {word}: {safe(', '.join(names))}"


def _type(column: DiffColumn) -> str:
    same = column.type_before == column.type_after
    return column.type_after if same else f"{column.type_before} → {column.type_after}"


def _sums(report: DiffPart) -> Iterator[RenderableType]:
    differing = [each for each in report.sums if each.before != each.after]
    if differing:
        sums = table("sum of", "before", "after", "", right=("before", "after"))
        for each in differing:
            sums.add_row(safe(each.column), safe(each.before), safe(each.after), "" if each.exact else "of floats")
        yield sums


def _causes(report: DiffPart) -> Iterator[RenderableType]:
    causes = table("set aside", "by", "column", "before", "after", right=("before", "after"))
    for each in report.quarantine:
        causes.add_row(
            "quarantined",
            safe(each.rule or each.reason),
            safe(each.column or ""),
            number(each.before),
            number(each.after),
        )
    for rule in report.filtered:
        causes.add_row("filtered (books)", safe(rule.rule), "", number(rule.before), number(rule.after))
    if causes.row_count:
        yield causes


def _samples(dataset: str, samples: Sequence[DiffSample]) -> Iterator[RenderableType]:
    for each in samples:
        key = ", ".join(f"{name}={_cut(value)}" for name, value in each.key.items())
        raw = each.raw_after or each.raw_before
        yield f"[yellow]{safe(each.kind)}[/] {safe(key)} [dim]raw {safe(raw)}[/]"
        if each.kind == "changed":
            for value in each.columns:
                yield f"    {safe(value.column)}: {safe(_cut(value.before))} → {safe(_cut(value.after))}"
            continue
        one = [(value.column, value.after if each.kind == "added" else value.before) for value in each.columns]
        told = ", ".join(f"{name}={_cut(value)}" for name, value in one[:_COLUMNS])
        yield f"    {safe(told)}{', ...' if len(one) > _COLUMNS else ''}"
    if samples:
        first = samples[0].raw_after or samples[0].raw_before
        yield f"Where such a row comes from: {command(f'row {dataset} --raw {first}')}"


def _cut(value: str | None) -> str:
    text = "null" if value is None else value
    return text if len(text) <= _VALUE else text[:_VALUE] + "…"
