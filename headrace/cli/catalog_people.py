"""Commands for who uses a dataset, where its rows are kept, and what people say of it."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import RenderableType

from headrace.cli import files
from headrace.cli.contracts import Force, Out
from headrace.cli.observe import DatasetArgument
from headrace.cli.render import Format, Output, command, emit, moment, number, safe, table
from headrace.cli.session import session_of
from headrace.client.results.catalog import Thread, TierSize, Usage
from headrace.errors import HeadraceError

_Thread = Annotated[str, typer.Argument(metavar="THREAD", help="Its id, as `catalog threads` shows it.")]


def usage(
    context: typer.Context,
    dataset: DatasetArgument,
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="How far back.")] = 30,
    output: Output = Format.TABLE,
) -> None:
    """Show who queries and exports a dataset.

    Examples:

        headrace catalog usage nyc.flights --days 7
    """
    with session_of(context).client() as client:
        found = client.catalog.usage(dataset, days)
    emit(found, output, lambda: _usage(found))


def storage(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """Show where the rows of a dataset are kept, and how much.

    Examples:

        headrace catalog storage nyc.flights
    """
    with session_of(context).client() as client:
        found = client.catalog.storage(dataset)
    emit({"items": found}, output, lambda: _storage(list(found)))


def contract(context: typer.Context, dataset: DatasetArgument, out: Out = files.STANDARD, force: Force = False) -> None:
    """Write the contract of a dataset in the Open Data Contract Standard v3, as it is live.

    Examples:

        headrace catalog contract nyc.flights --out flights.odcs.yaml
    """
    with session_of(context).client() as client:
        files.write(out, "".join(client.catalog.contract(dataset)), force=force)


def threads(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """Show what people say of a dataset.

    Examples:

        headrace catalog threads nyc.flights
    """
    with session_of(context).client() as client:
        found = client.catalog.threads(dataset)
    emit({"items": found}, output, lambda: _threads(list(found), dataset))


def say(
    context: typer.Context,
    dataset: DatasetArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to ask or to tell.")],
    column: Annotated[str, typer.Option(help="The column it is about.", show_default="the dataset")] = "",
    thread: Annotated[str | None, typer.Option(help="Reply in this thread.", show_default="a new one")] = None,
    edit: Annotated[str | None, typer.Option(help="Instead of this remark of yours.", show_default=False)] = None,
    output: Output = Format.TABLE,
) -> None:
    """Ask or tell something of a dataset or a column; reply in a thread; say something of yours otherwise.

    Examples:

        headrace catalog say nyc.flights "Is dep_delay in minutes?" --column dep_delay
        headrace catalog say nyc.flights "It is." --thread 5f0c6d7e8a9b4c3d5f0c6d7e8a9b4c3d
    """
    if edit and not thread:
        raise HeadraceError("--edit names a remark of a thread: give --thread, too.")
    with session_of(context).client() as client:
        if thread and edit:
            found = client.catalog.edit_remark(dataset, thread, edit, text)
        elif thread:
            found = client.catalog.reply(dataset, thread, text)
        else:
            found = client.catalog.begin_thread(dataset, text, column)
    emit(found, output, lambda: _threads([found], dataset))


def resolve(
    context: typer.Context,
    dataset: DatasetArgument,
    thread: _Thread,
    undo: Annotated[bool, typer.Option("--undo", help="Open it again.")] = False,
    take_back: Annotated[
        str | None, typer.Option("--take-back", help="Only take this remark of yours back.", show_default=False)
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Resolve a thread: there is nothing left to say.

    Examples:

        headrace catalog resolve nyc.flights 5f0c6d7e8a9b4c3d5f0c6d7e8a9b4c3d
    """
    with session_of(context).client() as client:
        if take_back:
            found = client.catalog.delete_remark(dataset, thread, take_back)
        elif undo:
            found = client.catalog.reopen(dataset, thread)
        else:
            found = client.catalog.resolve(dataset, thread)
    emit(found, output, lambda: _threads([found], dataset))


def _usage(found: Usage) -> Iterator[RenderableType]:
    if not found.users:
        yield "Nobody has asked for its rows in that time."
        return
    shown = table("who", "queries", "exports", "last", right=("queries", "exports"))
    for each in found.users:
        shown.add_row(f"[bold]{safe(each.name)}[/]", number(each.queries), number(each.exports), moment(each.last_at))
    yield shown


def _storage(found: list[TierSize]) -> Iterator[RenderableType]:
    shown = table("tier", "place", "rows", "bytes", "", right=("rows", "bytes"))
    for each in found:
        shown.add_row(safe(each.tier), safe(each.place), number(each.rows), number(each.size_bytes), safe(each.detail))
    yield shown


def _threads(found: list[Thread], dataset: str) -> Iterator[RenderableType]:
    if not found:
        yield f"Nobody has said anything yet.\n  {command(f'catalog say {dataset} TEXT')}"
    for each in found:
        state = f"resolved by {each.resolved_by}" if each.resolved_at else "open"
        yield f"[bold]{safe(each.column or dataset)}[/] {safe(each.id)} ({safe(state)})"
        for remark in each.remarks:
            text = "(taken back)" if remark.deleted else remark.text
            yield f"  {safe(remark.by)}, {moment(remark.at)} {safe(remark.id)}: {safe(text)}"
