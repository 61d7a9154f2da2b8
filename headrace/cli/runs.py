"""Commands about full loads and backfills: list them, start one, go back to the one before, cancel one."""

from typing import Annotated

import typer

from headrace.cli import tables
from headrace.cli.render import Format, Output, command, emit
from headrace.cli.session import session_of

app = typer.Typer(
    no_args_is_help=True, help="See to the full loads of a dataset (load.mode replace), and to backfills."
)

DatasetArgument = Annotated[
    str, typer.Argument(metavar="DATASET", help="Its name, as in shop.products.", show_default=False)
]


@app.command("ls")
def runs_ls(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """List a dataset's full loads or backfills, the newest first: which shows, how many rows each has, why one was refused.

    Examples:

        headrace runs ls shop.products
    """
    with session_of(context).client() as client:
        items = client.runs(dataset)
    emit({"items": items}, output, lambda: tables.runs(dataset, items))


@app.command("start")
def runs_start(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """Have the whole source read once more. What shows stays until all of it is there.

    Examples:

        headrace runs start shop.products
    """
    with session_of(context).client() as client:
        asked = client.start_run(dataset)
    emit(asked, output, lambda: [f"Run {asked.run} begins. Watch it: {command(f'runs ls {dataset}')}"])


@app.command("rollback")
def runs_rollback(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """Show the run that showed before; once more, and it goes forth again. The next run shows all the same.

    Examples:

        headrace runs rollback shop.products
    """
    with session_of(context).client() as client:
        asked = client.rollback_run(dataset)
    emit(asked, output, lambda: [f"Run {asked.run} is to show again. See: {command(f'runs ls {dataset}')}"])


@app.command("cancel")
def runs_cancel(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """End a backfill, or keep it from beginning. Rows that it has read stay.

    Examples:

        headrace runs cancel shop.orders
    """
    with session_of(context).client() as client:
        asked = client.cancel_backfill(dataset)
    emit(asked, output, lambda: [f"Backfill {asked.run} is to end. See: {command(f'runs ls {dataset}')}"])
