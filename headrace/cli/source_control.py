"""Commands that say when a source that is live is read: pause, resume, run, backfill."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from headrace.cli.observe import DatasetArgument
from headrace.cli.render import Format, Output, command, emit, safe
from headrace.cli.session import session_of
from headrace.errors import HeadraceError


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


def backfill(
    context: typer.Context,
    dataset: DatasetArgument,
    since: Annotated[
        str, typer.Option("--from", metavar="DATE", help="Rows of this day or time and later.", show_default=False)
    ],
    until: Annotated[
        str, typer.Option("--to", metavar="DATE", help="Only rows before this day or time.", show_default=False)
    ],
    allow_duplicates: Annotated[
        bool, typer.Option("--allow-duplicates", help="With load.mode append: rows that are there will be there twice.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Read the rows of a stretch of time once more, by the source's cursor, beside what is new. DATE has no zone: UTC.

    With load.mode upsert each row has its state of now in the end, however often it is read; with append it is there
    twice, which has to be allowed. `headrace runs ls` shows how far it is, `headrace runs cancel` ends it.

    Examples:

        headrace source backfill shop.orders --from 2026-01-01 --to 2026-02-01
        headrace source backfill shop.orders --from 2026-01-01T06:00 --to 2026-01-01T12:00
    """
    with session_of(context).client() as client:
        asked = client.backfill(
            dataset, _moment("--from", since), _moment("--to", until), allow_duplicates=allow_duplicates
        )
    emit(asked, output, lambda: [f"Backfill {asked.run} begins. Watch it: {command(f'runs ls {dataset}')}"])


def _moment(option: str, text: str) -> datetime:
    """A day or a time as a person writes it; in UTC unless it says otherwise. Errors: HeadraceError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise HeadraceError(f"{option} {text}: is no date or time, such as 2026-01-31 or 2026-01-31T06:00.") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
