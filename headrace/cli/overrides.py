"""Commands that decide by hand: about rows that are held, rows to skip, and whether new versions may go live."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.console import RenderableType

from headrace.cli.completion import dataset_names
from headrace.cli.observe import DatasetArgument
from headrace.cli.render import Format, Output, command, emit, moment, safe, table
from headrace.cli.session import session_of
from headrace.client import HeldRow, Override
from headrace.errors import HeadraceError

hold = typer.Typer(no_args_is_help=True, help="Decide about rows that a check of severity hold has stopped.")

Because = Annotated[str, typer.Option("--because", help="Why; it is kept with the decision.", show_default=False)]


@hold.command("ls")
def hold_ls(
    context: typer.Context,
    dataset: Annotated[
        str | None,
        typer.Argument(metavar="[DATASET]", help="Only of this one.", show_default=False, autocompletion=dataset_names),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """List the rows that wait for a decision: where each is, which check holds it, and which value.

    Examples:

        headrace hold ls
    """
    with session_of(context).client() as client:
        items = client.overrides.held_rows(dataset)
    emit({"items": items}, output, lambda: _held(items))


@hold.command("release")
def hold_release(
    context: typer.Context,
    dataset: DatasetArgument,
    raw: Annotated[
        list[str],
        typer.Option(
            "--raw",
            metavar="PARTITION:OFFSET",
            help="The held row, by its raw record. May be repeated.",
            show_default=False,
        ),
    ],
    because: Because,
    let_pass: Annotated[
        bool, typer.Option("--pass", help="The row goes on, with the check's name in `_flags`.")
    ] = False,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="The row is set aside with the check's reason.")
    ] = False,
    rows: Annotated[
        int, typer.Option("--rows", min=1, help="Decide about so many raw rows of its partition, from it on, at once.")
    ] = 1,
    all_like_this: Annotated[
        bool,
        typer.Option(
            "--all-like-this", help="Decide about every row that the check holds of those that are there by now."
        ),
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Decide about the row that a dataset is stopped in front of; then the dataset goes on.

    Nothing is decided when another row is held by now than the one that is named. Only rows that the same check holds are
    decided about: others are judged as they always are.

    Examples:

        headrace hold release shop.orders --raw 0:17 --pass --because "a large order, asked by phone"
        headrace hold release shop.orders --raw 0:17 --quarantine --all-like-this --because "a till that doubles"
    """
    if let_pass == quarantine:
        raise HeadraceError("say what is to become of the row: --pass or --quarantine.")
    with session_of(context).client() as client:
        items = client.overrides.release_hold(
            dataset, raw, "pass" if let_pass else "quarantine", because, rows=rows, all_like_this=all_like_this
        )
    emit({"items": items}, output, lambda: [*_decided(items), f"See: {command(f'status {dataset}')}"])


def skip(
    context: typer.Context,
    dataset: DatasetArgument,
    partition: Annotated[int, typer.Option("--partition", min=0, help="Of the raw topic.", show_default=False)],
    since: Annotated[
        int, typer.Option("--from", min=0, metavar="OFFSET", help="The first raw offset.", show_default=False)
    ],
    until: Annotated[
        int, typer.Option("--to", min=0, metavar="OFFSET", help="The last raw offset.", show_default=False)
    ],
    because: Because,
    output: Output = Format.TABLE,
) -> None:
    """Leave a range of raw rows out, as when they stop the transformer. They count as filtered, by the rule `skipped`.

    Only rows that the transformer has not come to yet: what is loaded already stays. `headrace row DATASET --raw
    PARTITION:OFFSET` says of each who skipped it and why.

    Examples:

        headrace skip shop.orders --partition 0 --from 5000 --to 5099 --because "a test of the till"
    """
    with session_of(context).client() as client:
        items = client.overrides.skip(dataset, partition, since, until, because)
    note = "Rows that the transformer had come to before stay as they are."
    emit({"items": items}, output, lambda: [*_decided(items), note])


def pin(context: typer.Context, dataset: DatasetArgument, because: Because, output: Output = Format.TABLE) -> None:
    """Let no new version of a dataset go live, whoever applies it, until it is unpinned.

    Examples:

        headrace pin shop.orders --because "the books are being closed"
    """
    with session_of(context).client() as client:
        items = client.overrides.pin(dataset, because)
    undo = command(f"unpin {dataset} --because TEXT")
    emit(
        {"items": items},
        output,
        lambda: [f"[bold]{safe(dataset)}[/] is pinned. New versions go live again after: {undo}"],
    )


def unpin(context: typer.Context, dataset: DatasetArgument, because: Because, output: Output = Format.TABLE) -> None:
    """Let new versions of a dataset go live again.

    Examples:

        headrace unpin shop.orders --because "the books are closed"
    """
    with session_of(context).client() as client:
        items = client.overrides.unpin(dataset, because)
    emit({"items": items}, output, lambda: [f"[bold]{safe(dataset)}[/] is not pinned any more."])


def overrides(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """List what was decided by hand about a dataset and stands: rows skipped, let pass or set aside, and a pin.

    Examples:

        headrace overrides shop.orders
    """
    with session_of(context).client() as client:
        items = client.overrides.list(dataset)
    emit({"items": items}, output, lambda: _decided(items) if items else ["Nothing was decided by hand."])


def _held(items: Sequence[HeldRow]) -> Iterator[RenderableType]:
    if not items:
        yield "No row waits for a decision."
        return
    shown = table("dataset", "raw row", "check", "why", "since")
    for item in items:
        place = f"{item.partition}:{item.offset}"
        shown.add_row(safe(item.dataset), place, safe(item.rule), safe(item.detail), moment(item.since))
    yield shown
    first = items[0]
    yield f"Look at one: {command(f'row {first.dataset} --raw {first.partition}:{first.offset}')}"
    raw = f"--raw {first.partition}:{first.offset}"
    yield f"Decide: {command(f'hold release {first.dataset} {raw} --pass --because TEXT')}, or --quarantine"


def _decided(items: Sequence[Override]) -> Iterator[RenderableType]:
    shown = table("what", "raw rows", "check", "by", "when", "because")
    for item in items:
        rows = (
            ""
            if item.partition is None
            else f"{item.partition}:{item.from_offset} to {item.partition}:{item.to_offset}"
        )
        shown.add_row(item.act, rows, safe(item.rule), safe(item.by), moment(item.at), safe(item.because))
    yield shown
