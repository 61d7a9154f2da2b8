"""Commands about sources that are no longer what they were: look at it, decide, and have the rows read anew."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from headrace.cli import tables
from headrace.cli.edited_file import EditedFile
from headrace.cli.observe import DatasetArgument
from headrace.cli.quarantine import Because, Wait
from headrace.cli.quarantine_tables import outcome_of
from headrace.cli.render import Format, Output, emit
from headrace.cli.session import session_of
from headrace.client import Client, DriftEdit, QuarantineOutcome
from headrace.contract import Decision, FileEdit
from headrace.errors import HeadraceError

_LATE: Final = 5

app = typer.Typer(no_args_is_help=True, help="See to sources whose columns came or changed without notice.")

Column = Annotated[
    str, typer.Argument(metavar="COLUMN", help="The source's column, as `drift ls` prints it.", show_default=False)
]
File = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="The dataset's file, to write the decision into as well.", show_default=False),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing: say what it would be.")]


@app.command("ls")
def drift_ls(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """List the columns for which rows are set aside: since when, and what they hit.

    Examples:

        headrace drift ls shop.orders
    """
    with session_of(context).client() as client:
        found = client.drift.get(dataset)
    emit(found, output, lambda: tables.drift(dataset, found))


@app.command("accept")
def accept(
    context: typer.Context,
    dataset: DatasetArgument,
    column: Column,
    because: Because,
    type_: Annotated[
        str | None, typer.Option("--type", help="Of a new column; the likely one when not given.", show_default=False)
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="Where values that do not fit are kept as text; COLUMN_text when not given.",
            show_default=False,
        ),
    ] = None,
    file: File = None,
    dry_run: DryRun = False,
    wait: Wait = True,
    output: Output = Format.TABLE,
) -> None:
    """Take what is new: a new column is declared; values that do not fit are kept as text in a column beside.

    Examples:

        headrace drift accept shop.orders discount --because "discounts since May"
        headrace drift accept shop.orders price --to price_text --because "free text prices" -f orders.yaml
    """
    asked = {"type": type_, "to": to, "because": because, "dry_run": dry_run}
    _decide(context, dataset, column, {"act": "accept", **asked}, file, wait, output)


@app.command("map")
def map_(
    context: typer.Context,
    dataset: DatasetArgument,
    column: Column,
    to: Annotated[
        str, typer.Argument(metavar="OLD", help="The column that it is, under a new name.", show_default=False)
    ],
    because: Because,
    file: File = None,
    dry_run: DryRun = False,
    wait: Wait = True,
    output: Output = Format.TABLE,
) -> None:
    """Say that a new column is an old one under another name.

    Examples:

        headrace drift map shop.orders price_chf price --because "renamed by the shop"
    """
    asked = {"act": "map", "to": to, "because": because, "dry_run": dry_run}
    _decide(context, dataset, column, asked, file, wait, output)


@app.command("cast")
def cast(
    context: typer.Context,
    dataset: DatasetArgument,
    column: Column,
    expression: Annotated[
        str, typer.Argument(metavar="EXPR", help="DuckDB SQL over the row, whose values are texts.", show_default=False)
    ],
    because: Because,
    file: File = None,
    dry_run: DryRun = False,
    wait: Wait = True,
    output: Output = Format.TABLE,
) -> None:
    """Say how values that do not fit become values that do.

    Examples:

        headrace drift cast shop.orders price "replace(price, ' CHF', '')" --because "a currency since May"
    """
    asked = {"act": "cast", "expression": expression, "because": because, "dry_run": dry_run}
    _decide(context, dataset, column, asked, file, wait, output)


@app.command("leave-out")
def leave_out(
    context: typer.Context,
    dataset: DatasetArgument,
    column: Column,
    because: Because,
    file: File = None,
    dry_run: DryRun = False,
    wait: Wait = True,
    output: Output = Format.TABLE,
) -> None:
    """Leave a new column, or values that do not fit, out; the rest of the row goes on.

    Examples:

        headrace drift leave-out shop.orders internal_note --because "not ours"
    """
    _decide(context, dataset, column, {"act": "leave-out", "because": because, "dry_run": dry_run}, file, wait, output)


@app.command("reject")
def reject(
    context: typer.Context,
    dataset: DatasetArgument,
    column: Column,
    because: Because,
    dry_run: DryRun = False,
    wait: Wait = True,
    output: Output = Format.TABLE,
) -> None:
    """Give up the rows that were set aside for a column. Rows like them are set aside from now on, too.

    Examples:

        headrace drift reject shop.orders price --because "a broken export"
    """
    _decide(context, dataset, column, {"act": "reject", "because": because, "dry_run": dry_run}, None, wait, output)


def _decide(
    context: typer.Context,
    dataset: str,
    column: str,
    asked: dict[str, Any],
    file: Path | None,
    wait: bool,
    output: Format,
) -> None:
    document = None if file is None else _document(file, dataset)
    with session_of(context).client() as client:
        decided = client.drift.decide(dataset, column, **asked)
        if document is not None and decided.edit is not None and decided.request is not None:
            _write(document, decided.edit)
        if decided.request is None or not wait:
            emit(decided, output, lambda: tables.drift_decided(dataset, decided))
            return
        outcome = client.quarantine.wait(dataset, decided)
        outcome = _with_late_ones(client, dataset, column, asked, outcome)
    shown = {"decided": decided, "outcome": outcome}
    emit(shown, output, lambda: [*tables.drift_decided(dataset, decided), *outcome_of(dataset, outcome)])
    if outcome.refused:
        raise typer.Exit(1)


def _with_late_ones(
    client: Client, dataset: str, column: str, asked: dict[str, Any], outcome: QuarantineOutcome
) -> QuarantineOutcome:
    """The outcome with that of the rows which were set aside while the decision was on its way to ingest."""
    for _ in range(_LATE):
        if outcome.refused or all(each.column != column for each in client.drift.get(dataset).items):
            break
        late = client.quarantine.wait(dataset, client.drift.decide(dataset, column, **asked))
        counts = {
            name: getattr(outcome, name) + getattr(late, name) for name in ("resubmitted", "discarded", "refused")
        }
        outcome = late.model_copy(update=counts)
    return outcome


def _document(path: Path, dataset: str) -> EditedFile:
    """The file of a dataset, before anything is decided. Errors: HeadraceError when it is none, or of another dataset."""
    document = EditedFile(path, "the decision")
    document.is_of(dataset)
    return document


def _write(document: EditedFile, edit: DriftEdit) -> None:
    """Write an edit into a dataset's file. Errors: HeadraceError."""
    decision = Decision.model_validate(edit.decision) if edit.decision is not None else None
    FileEdit(edit.column, decision, edit.type, edit.publish).write(document.values)  # type: ignore[arg-type]
    try:
        document.write()
    except OSError as error:
        where = f"source.drift.{edit.column}" if edit.decision is not None else f"source.columns.{edit.column}"
        told = f"{where}: {edit.decision or edit.type}"
        raise HeadraceError(
            f"{document.path}: cannot be written: {error.strerror}; the decision is live: write it yourself, {told}"
        ) from error
