"""Commands that say when a source that is live is read: pause, resume, run, backfill; and that give it up: release, holdings."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from headrace.cli import tables
from headrace.cli.completion import dataset_names
from headrace.cli.observe import DatasetArgument
from headrace.cli.render import Format, Output, command, emit, safe
from headrace.cli.session import session_of
from headrace.client import Items, SourceHolding
from headrace.errors import HeadraceError

_PATIENCE_S: Final = 60.0
_POLL_S: Final = 0.5


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
        done = client.sources.pause(dataset, because)
    resume_by = command(f"source resume {dataset}")
    emit(done, output, lambda: [f"[bold]{safe(dataset)}[/] is paused. It goes on with: {resume_by}"])


def resume(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """Let a paused source go on, from where it was.

    Examples:

        headrace source resume shop.orders
    """
    with session_of(context).client() as client:
        done = client.sources.resume(dataset)
    emit(done, output, lambda: [f"[bold]{safe(dataset)}[/] goes on. See: {command(f'status {dataset}')}"])


def run(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """Have a source read now, out of turn; one that is down is tried at once. With load.mode replace, it begins a full load.

    Examples:

        headrace source run shop.orders
    """
    with session_of(context).client() as client:
        done = client.sources.run(dataset)
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
        asked = client.runs.backfill(
            dataset, moment_given("--from", since), moment_given("--to", until), allow_duplicates=allow_duplicates
        )
    emit(asked, output, lambda: [f"Backfill {asked.run} begins. Watch it: {command(f'runs ls {dataset}')}"])


def release(
    context: typer.Context,
    dataset: DatasetArgument,
    because: Annotated[
        str, typer.Option("--because", help="Why, for whoever looks at the status.", show_default=False)
    ],
    abandon: Annotated[
        bool,
        typer.Option("--abandon", help="Give up what cannot be taken away, as when its database is gone for ever."),
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Give up a source whose changes are captured, for good: take away its connector, replication slot, publication and topics.

    What was read stays, and goes on to the warehouse; changes that were not read are lost. Waits for a minute until all is
    taken away; what cannot be is said, with the SQL that does it by hand, and tried again. A dataset that was removed, or
    whose source is of another type now, needs no release. To read the table again later, raise `source.snapshot`, apply, and
    resume.

    Examples:

        headrace source release shop.orders --because "the shop moved to another system"
    """
    with session_of(context).client() as client:
        left = client.sources.release(dataset, because, abandon=abandon)
        left = _until_gone(left, lambda: client.sources.holdings(dataset))
    emit(
        {"items": left},
        output,
        lambda: tables.holdings(left) if left else [f"[bold]{safe(dataset)}[/] keeps nothing any more."],
    )


def holdings(
    context: typer.Context,
    dataset: Annotated[
        str,
        typer.Argument(metavar="[DATASET]", help="Only of this one.", show_default=False, autocompletion=dataset_names),
    ] = "",
    output: Output = Format.TABLE,
) -> None:
    """List what sources keep outside of Headrace: captures, with their replication slots, and what is left of former ones.

    Examples:

        headrace source holdings
    """
    with session_of(context).client() as client:
        items = client.sources.holdings(dataset)
    emit(
        {"items": items},
        output,
        lambda: tables.holdings(items) if items else ["Sources keep nothing outside of Headrace."],
    )


def _until_gone(left: Items[SourceHolding], look: Callable[[], Items[SourceHolding]]) -> Items[SourceHolding]:
    """What is left once all is gone, something is said to be in the way, or the time is up."""
    deadline = time.monotonic() + _PATIENCE_S
    while left and not any(each.message and each.state != "abandoned" for each in left) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        left = look()
    return left


def moment_given(option: str, text: str) -> datetime:
    """A day or a time as a person writes it; in UTC unless it says otherwise. Errors: HeadraceError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise HeadraceError(f"{option} {text}: is no date or time, such as 2026-01-31 or 2026-01-31T06:00.") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
