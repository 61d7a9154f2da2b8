"""Commands of `headrace export`: rows of datasets as files."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from headrace.cli import files
from headrace.cli.observe import DatasetArgument
from headrace.cli.progress import ByteBoard
from headrace.cli.render import moment, note, safe
from headrace.cli.session import session_of
from headrace.client.exports import Download, ExportFormat
from headrace.errors import HeadraceError

_ENDINGS: Final[dict[str, ExportFormat]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".arrows": "arrow",
    ".arrow": "arrow",
}


class _Group(TyperGroup):
    """What is no command is the name of a dataset, which has a point in it: its rows are wanted as a file, now."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["file", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_Group, no_args_is_help=True, help="Write rows of datasets to files.")


class FormatOption(StrEnum):
    """How rows are written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    ARROW = "arrow"


Form = Annotated[
    FormatOption | None,
    typer.Option("--format", "-f", help="How rows are written.", show_default="by the ending of the file, else csv"),
]
Columns = Annotated[
    str, typer.Option("--columns", "-c", help="Only these, with commas between.", show_default="all but Headrace's own")
]
Where = Annotated[str, typer.Option("--where", "-w", help="Only rows that meet this condition.", show_default="all")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")]


@app.command()
def file(
    context: typer.Context,
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write; - is standard output.")] = files.STANDARD,
    form: Form = None,
    columns: Columns = "",
    where: Where = "",
    force: Force = False,
) -> None:
    """Write the rows of a dataset to a file, now. `headrace export DATASET` is short for it.

    In CSV, texts that a spreadsheet would run begin with an apostrophe. A file is there when it is whole.

    Examples:

        headrace export nyc.flights -o flights.parquet
        headrace export nyc.flights -c carrier,flight,dep_delay -w "carrier = 'UA'" > ua.csv
        headrace export file nyc.flights -f jsonl | gzip > flights.jsonl.gz
    """
    if out != files.STANDARD:
        files.check_place(out, force)  # before the warehouse works for nothing
    with (
        session_of(context).client() as client,
        client.exports.stream(dataset, form_of(form, out), named(columns), where) as found,
    ):
        told(found)
        with ByteBoard(f"export {dataset}", found.size_bytes) as board:
            files.write_pieces(out, board.passed(found.pieces), force=force)


def form_of(form: FormatOption | None, out: Path) -> ExportFormat:
    """The format that was asked for, or that a file's ending says. Errors: HeadraceError."""
    if form is not None:
        return form.value
    if out == files.STANDARD or not out.suffix:
        return "csv"
    if (found := _ENDINGS.get(out.suffix.lower())) is None:
        raise HeadraceError(f"{out}: which format is that? Say it with --format: csv, jsonl, parquet or arrow.")
    return found


def named(columns: str) -> list[str]:
    """The names in a list with commas."""
    return [name.strip() for name in columns.split(",") if name.strip()]


def told(found: Download) -> None:
    """Say how complete a file is, and what is hidden in it."""
    if found.complete_through is not None:
        note(f"Complete through {moment(found.complete_through)}.")
    elif found.waiting_for:
        note(f"[yellow]Not complete:[/] {safe(found.waiting_for)}.")
    if found.masked:
        note(f"[yellow]Columns that do not show every value:[/] {safe(', '.join(found.masked))}.")
