"""Commands about full loads, models and backfills: list and follow runs, start one, go back to the one before, cancel one."""

import time
from typing import Annotated, Final

import typer

from headrace.cli import tables
from headrace.cli.completion import dataset_names
from headrace.cli.render import Format, Output, command, console, emit, emit_line, note
from headrace.cli.session import session_of
from headrace.client import Run

app = typer.Typer(
    no_args_is_help=True, help="See to the full loads of a dataset (load.mode replace), to models, and to backfills."
)

DatasetArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATASET", help="Its name, as in shop.products.", show_default=False, autocompletion=dataset_names
    ),
]

RunArgument = Annotated[
    int, typer.Argument(metavar="[RUN]", min=0, help="Its number; the newest when not given.", show_default=False)
]

_LOOK_S: Final = 1.0


@app.command("ls")
def runs_ls(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """List a dataset's full loads or backfills, the newest first: which shows, how many rows each has, why one was refused.

    Examples:

        headrace runs ls shop.products
    """
    with session_of(context).client() as client:
        items = client.runs.list(dataset)
    emit({"items": items}, output, lambda: tables.runs(dataset, items))


@app.command("start")
def runs_start(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """Have the whole source read once more. What shows stays until all of it is there.

    Examples:

        headrace runs start shop.products
    """
    with session_of(context).client() as client:
        asked = client.runs.start(dataset)
    emit(asked, output, lambda: [f"Run {asked.run} begins. Watch it: {command(f'runs ls {dataset}')}"])


@app.command("rollback")
def runs_rollback(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """Show the run that showed before; once more, and it goes forth again. The next run shows all the same.

    Examples:

        headrace runs rollback shop.products
    """
    with session_of(context).client() as client:
        asked = client.runs.rollback(dataset)
    emit(asked, output, lambda: [f"Run {asked.run} is to show again. See: {command(f'runs ls {dataset}')}"])


@app.command("show")
def runs_show(
    context: typer.Context, dataset: DatasetArgument, run: RunArgument = 0, output: Output = Format.TABLE
) -> None:
    """Show one run: its rows, how long it waited, was read and loaded, how fast, and what was wrong with rows, or with it.

    Examples:

        headrace runs show shop.products

        headrace runs show shop.products 7 -o json
    """
    with session_of(context).client() as client:
        story = client.runs.story(dataset, run)
    emit(story, output, lambda: tables.run(dataset, story))


@app.command("logs")
def runs_logs(
    context: typer.Context,
    dataset: DatasetArgument,
    run: RunArgument = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended, or Ctrl-C.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Tell what happened to a run, line by line: what it waits for, how far it is and how fast, and how it ended.

    With --follow, -o json prints one document a line.

    Examples:

        headrace runs logs shop.products

        headrace runs logs shop.products 7 -f
    """
    with session_of(context).client() as client:
        story = client.runs.story(dataset, run)
        if not follow:
            emit({"items": story.items}, output, lambda: map(tables.run_line, story.items))
            return
        number = story.run.run
        try:
            while True:
                for event in story.items:
                    emit_line(event, output) if output is not Format.TABLE else console().print(tables.run_line(event))
                if not _goes_on(story.run) and not story.items:
                    return
                time.sleep(_LOOK_S)
                story = client.runs.story(dataset, number, story.after)
        except KeyboardInterrupt:
            note("")


@app.command("cancel")
def runs_cancel(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """End the run that is read, or waits. What showed before shows on; rows that a backfill has read stay.

    Examples:

        headrace runs cancel shop.orders
    """
    with session_of(context).client() as client:
        asked = client.runs.cancel(dataset)
    emit(asked, output, lambda: [f"Run {asked.run} is to end. See: {command(f'runs ls {dataset}')}"])


def _goes_on(run: Run) -> bool:
    """Whether more is to come of a run: a full load that was read is loaded yet, a backfill has ended then."""
    return run.state == "begun" or (run.state == "ended" and run.since is None)
