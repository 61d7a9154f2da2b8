"""Commands that look and change nothing: status, tail, ledger, query."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live

from headrace.cli import tables
from headrace.cli.completion import dataset_names
from headrace.cli.render import Format, Output, console, count, emit, emit_line, note, number, safe
from headrace.cli.session import session_of
from headrace.client import Client, DatasetStatus, TailRecord, Unreachable
from headrace.errors import HeadraceError

DatasetArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATASET", help="Its name, as in nyc.flights.", show_default=False, autocompletion=dataset_names
    ),
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what arrives, until Ctrl-C.")]

_FOLLOW_WINDOW = 500  # records looked at per poll: the most the gateway gives


def status(
    context: typer.Context,
    dataset: Annotated[
        str | None,
        typer.Argument(metavar="DATASET", help="One dataset only.", show_default=False, autocompletion=dataset_names),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh until Ctrl-C.")] = False,
    interval_s: Annotated[float, typer.Option("--interval", min=0.1, help="Seconds between refreshes.")] = 1.0,
    output: Output = Format.TABLE,
) -> None:
    """Show what every stage of every dataset is doing: rows, lag, rate and latency.

    With --watch and -o json, each refresh is one document on one line.

    Examples:

        headrace status
        headrace status nyc.flights --watch
        headrace status -o json
    """
    with session_of(context).client() as client:
        if not watch:
            items = client.datasets.status(dataset)
            emit({"items": items}, output, lambda: tables.status(items))
        elif output is Format.TABLE:
            _watch(lambda: client.datasets.status(dataset), interval_s)
        else:
            _until_interrupted(lambda: emit_line({"items": client.datasets.status(dataset)}, output), interval_s)


def tail(
    context: typer.Context,
    dataset: DatasetArgument,
    stage: Annotated[
        tables.TailStage, typer.Option("--stage", "-s", help="Which of its topics.")
    ] = tables.TailStage.VALIDATED,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=500, help="How many records.")] = 10,
    follow: Follow = False,
    output: Output = Format.TABLE,
) -> None:
    """Show the newest records of a dataset, as they are in one of its topics.

    With --follow, -o json prints one document a line; a burst of more than 500 records a second is shown in part.

    Examples:

        headrace tail nyc.flights -n 3
        headrace tail nyc.flights --stage quarantine
        headrace tail nyc.flights --follow -o json | jq .fields.dest
    """
    with session_of(context).client() as client:
        if not follow:
            records = client.datasets.tail(dataset, stage.value, lines)
            emit({"items": records}, output, lambda: tables.tail(dataset, stage, records))
            return
        news = _new_records(client, dataset, stage.value, lines)
        _until_interrupted(lambda: _show(next(news), output), 1.0)


def ledger(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """Show where every row of a dataset went: read = loaded + filtered + quarantined + discarded + parked + in flight.

    Whatever is left over is the residue. It must be 0.

    Examples:

        headrace ledger nyc.flights
        headrace ledger nyc.flights -o json | jq .residue
    """
    with session_of(context).client() as client:
        books = client.datasets.ledger(dataset)
    emit(books, output, lambda: tables.ledger(books))


def query(
    context: typer.Context,
    sql: Annotated[
        str, typer.Argument(metavar="SQL", help="A SELECT; - reads it from standard input.", show_default=False)
    ],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="The most rows to fetch.")] = 1000,
    param: Annotated[
        list[str] | None,
        typer.Option(
            help="A value for {NAME:Type} in the query, as NAME=VALUE; may be given again.", show_default=False
        ),
    ] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="Only say what it would read.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Ask the warehouse a question. Queries are read-only.

    Examples:

        headrace query "SELECT carrier, count() AS flights FROM nyc.flights GROUP BY carrier ORDER BY flights DESC"
        headrace query "SELECT count() FROM nyc.flights WHERE carrier = {carrier:String}" --param carrier=UA
        headrace query - -o json < question.sql
    """
    text = sys.stdin.read() if sql == "-" else sql
    if not text.strip():
        raise HeadraceError('There is no query. Give one in quotes: headrace query "SELECT 1"')
    given = dict(_parameter(each) for each in param or ())
    with session_of(context).client() as client:
        if estimate:
            found = client.estimate(text, given)
            said = (
                f"at most {number(found.rows)} rows of {count(found.parts, 'part')}: {safe(', '.join(found.datasets))}"
            )
            emit(found, output, lambda: [said])
            return
        result = client.query(text, limit, given)
    for each in result.datasets:
        if each.waiting_for:
            note(f"[yellow]{safe(each.dataset)} is not complete:[/] {safe('; '.join(each.waiting_for))}")
        if each.partial:
            note(f"[yellow]You see a part of {safe(each.dataset)}.[/]")
    emit(result, output, lambda: tables.answer(result))


def _parameter(text: str) -> tuple[str, str]:
    """Errors: HeadraceError when it is not NAME=VALUE."""
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise HeadraceError(f"--param {text}: write NAME=VALUE.")
    return name, value


def _watch(read: Callable[[], list[DatasetStatus]], interval_s: float) -> None:
    """Redraw in place on a terminal; elsewhere print one table after the other. A gateway that restarts is waited for."""

    def seen() -> RenderableType:
        try:
            return Group(*tables.status(read()))
        except Unreachable as error:
            return f"[yellow]{safe(error)}[/]"

    out = console()
    if not out.is_terminal:
        _until_interrupted(lambda: out.print(seen()), interval_s)
        return
    with Live(console=out, auto_refresh=False) as live:
        _until_interrupted(lambda: live.update(seen(), refresh=True), interval_s)


def _until_interrupted(step: Callable[[], Any], interval_s: float) -> None:
    """Repeat until Ctrl-C, which is how a watcher is meant to end."""
    try:
        while True:
            step()
            time.sleep(interval_s)
    except KeyboardInterrupt:
        note("")


def _new_records(client: Client, dataset: str, stage: str, first: int) -> Iterator[list[TailRecord]]:
    """The newest records, then those that have come since, poll by poll."""
    seen: dict[int, int] = {}
    wanted = first
    while True:
        records = client.datasets.tail(dataset, stage, _FOLLOW_WINDOW)
        fresh = [record for record in records if record.offset > seen.get(record.partition, -1)]
        for record in fresh:
            seen[record.partition] = max(record.offset, seen.get(record.partition, -1))
        yield fresh[-wanted:]
        wanted = _FOLLOW_WINDOW


def _show(records: Iterable[TailRecord], output: Format) -> None:
    for record in records:
        if output is Format.TABLE:
            console().print(tables.record_line(record), soft_wrap=True)
        else:
            emit_line(record, output)
