"""Commands that say when a source that is live is read: pause, resume, run."""

from typing import Annotated

import typer

from headrace.cli.observe import DatasetArgument
from headrace.cli.render import Format, Output, command, emit, safe
from headrace.cli.session import session_of


def pause(
    context: typer.Context,
    dataset: DatasetArgument,
    because: Annotated[
        str, typer.Option("--because", help="Why, for whoever looks at the status.", show_default=False)
    ],
    output: Output = Format.TABLE,
) -> None:
    """Read nothing of a source until it is resumed, whatever restarts meanwhile. What was read goes on to the warehouse.

    A source that is pushed to answers 503 with who paused it and why: senders keep their rows.

    Examples:

        headrace source pause shop.orders --because "the database is moved"
    """
    with session_of(context).client() as client:
        done = client.pause_source(dataset, because)
    resume_by = command(f"source resume {dataset}")
    emit(done, output, lambda: [f"[bold]{safe(dataset)}[/] is paused. It goes on with: {resume_by}"])


def resume(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """Let a paused source go on, from where it was.

    Examples:

        headrace source resume shop.orders
    """
    with session_of(context).client() as client:
        done = client.resume_source(dataset)
    emit(done, output, lambda: [f"[bold]{safe(dataset)}[/] goes on. See: {command(f'status {dataset}')}"])


def run(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """Have a source read now, out of turn; one that is down is tried at once. With load.mode replace, it begins a full load.

    Examples:

        headrace source run shop.orders
    """
    with session_of(context).client() as client:
        done = client.run_source(dataset)
    emit(done, output, lambda: [f"[bold]{safe(dataset)}[/] is read now. See: {command(f'status {dataset}')}"])
