"""Commands of `headrace export`: rows of datasets as files."""

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from headrace.cli import files, tables_of_exports
from headrace.cli.observe import DatasetArgument
from headrace.cli.progress import ByteBoard, WorkBoard
from headrace.cli.render import Format, Output, command, emit, moment, note, safe
from headrace.cli.session import session_of
from headrace.client import Client, downloads
from headrace.client.downloads import Download
from headrace.client.groups.exports import ExportFormat
from headrace.client.results.exports import Export
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


class DestinationOption(StrEnum):
    """Where an export goes."""

    DOWNLOAD = "download"
    S3 = "s3"


_POLL_S: Final = 0.5

ExportArgument = Annotated[str, typer.Argument(metavar="ID", help="Its id, as `ls` shows it.", show_default=False)]
BackgroundForm = Annotated[FormatOption, typer.Option("--format", "-f", help="How rows are written.")]
To = Annotated[DestinationOption, typer.Option("--to", help="Kept to be downloaded, or in the bucket of the gateway.")]
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

        headrace export file nyc.flights -o flights.parquet
        headrace export file nyc.flights -c carrier,flight,dep_delay -w "carrier = 'UA'" -o ua.csv
        headrace export file nyc.flights -f jsonl | gzip > flights.jsonl.gz
    """
    if out != files.STANDARD:
        files.check_place(out, force)  # before the warehouse works for nothing
    with (
        session_of(context).client() as client,
        downloads.rows(client, dataset, form_of(form, out), named(columns), where) as found,
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


@app.command()
def start(
    context: typer.Context,
    dataset: DatasetArgument,
    form: BackgroundForm = FormatOption.PARQUET,
    columns: Columns = "",
    where: Where = "",
    to: To = DestinationOption.DOWNLOAD,
    wait: Annotated[bool, typer.Option("--wait", help="Show how far it is, and end when it has ended.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Have the rows of a dataset written to a file in the background.

    Examples:

        headrace export start nyc.flights --wait
        headrace export start nyc.flights -f csv --to s3
    """
    with session_of(context).client() as client:
        made = client.exports.start(dataset, form.value, named(columns), where, to.value)
        if wait:
            made = _waited(client, made)
        emit(made, output, lambda: tables_of_exports.one(made))
        if not wait:
            note(f"When it is done, fetch it: {command(f'export download {made.id}')}")
        if made.state == "failed":
            raise HeadraceError(f"Export {made.id} failed: {made.error}.")


@app.command("ls")
def listed(
    context: typer.Context,
    state: Annotated[str | None, typer.Option("--state", help="Only those in this state, such as done.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """List exports that are made in the background, newest first.

    Examples:

        headrace export ls --state done
    """
    with session_of(context).client() as client:
        found = client.exports.all(state)
    emit({"items": found}, output, lambda: tables_of_exports.several(found))


@app.command()
def show(context: typer.Context, id: ExportArgument, output: Output = Format.TABLE) -> None:
    """Show how far an export is, and what its file holds.

    Examples:

        headrace export show 5f0c6d7e8a9b4c3d
    """
    with session_of(context).client() as client:
        found = client.exports.get(id)
    emit(found, output, lambda: tables_of_exports.one(found))


@app.command()
def cancel(context: typer.Context, id: ExportArgument) -> None:
    """Cancel an export while it is made; else delete its file and forget it.

    Examples:

        headrace export cancel 5f0c6d7e8a9b4c3d
    """
    with session_of(context).client() as client:
        client.exports.remove(id)
    note(f"[green]✓[/] {safe(id)} is cancelled, or its file deleted")


@app.command()
def download(
    context: typer.Context,
    id: ExportArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where to write; - is standard output.", show_default="its own name"),
    ] = None,
    force: Force = False,
) -> None:
    """Fetch the file of an export. What breaks off is gone on with, and what came is compared with what was made.

    Examples:

        headrace export download 5f0c6d7e8a9b4c3d -o flights.parquet
    """
    with (
        session_of(context).client() as client,
        downloads.export(client, id) as found,
        ByteBoard(f"export {id}", found.size_bytes) as board,
    ):
        files.write_pieces(out or Path(Path(found.name).name), board.passed(found.pieces), force=force)


schedules = typer.Typer(no_args_is_help=True, help="Export at times of a clock.")
app.add_typer(schedules, name="schedule")


@schedules.command("add")
def add_schedule(
    context: typer.Context,
    dataset: DatasetArgument,
    cron: Annotated[str, typer.Option("--cron", help="When, such as '30 6 * * 1-5'.", show_default=False)],
    timezone: Annotated[str, typer.Option("--timezone", help="Of --cron, such as Europe/Zurich.")] = "UTC",
    form: BackgroundForm = FormatOption.PARQUET,
    columns: Columns = "",
    where: Where = "",
    to: To = DestinationOption.DOWNLOAD,
    output: Output = Format.TABLE,
) -> None:
    """Have a dataset exported at certain times, with what you may export then.

    Examples:

        headrace export schedule add nyc.flights --cron '30 6 * * 1-5' --timezone Europe/Zurich
    """
    with session_of(context).client() as client:
        made = client.exports.schedule(dataset, cron, timezone, form.value, named(columns), where, to.value)
    emit(made, output, lambda: tables_of_exports.schedules([made]))


@schedules.command("ls")
def list_schedules(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List schedules, and when each makes its next export.

    Examples:

        headrace export schedule ls
    """
    with session_of(context).client() as client:
        found = client.exports.schedules()
    emit({"items": found}, output, lambda: tables_of_exports.schedules(found))


@schedules.command("pause")
def pause_schedule(context: typer.Context, id: ExportArgument, output: Output = Format.TABLE) -> None:
    """Let a schedule rest.

    Examples:

        headrace export schedule pause 5f0c6d7e8a9b4c3d
    """
    with session_of(context).client() as client:
        found = client.exports.pause_schedule(id)
    emit(found, output, lambda: tables_of_exports.schedules([found]))


@schedules.command("resume")
def resume_schedule(context: typer.Context, id: ExportArgument, output: Output = Format.TABLE) -> None:
    """Go on with the time that comes next.

    Examples:

        headrace export schedule resume 5f0c6d7e8a9b4c3d
    """
    with session_of(context).client() as client:
        found = client.exports.resume_schedule(id)
    emit(found, output, lambda: tables_of_exports.schedules([found]))


@schedules.command("rm")
def remove_schedule(context: typer.Context, id: ExportArgument) -> None:
    """Take a schedule away. The exports it made stay.

    Examples:

        headrace export schedule rm 5f0c6d7e8a9b4c3d
    """
    with session_of(context).client() as client:
        client.exports.remove_schedule(id)
    note(f"[green]✓[/] schedule {safe(id)} is gone")


def _waited(client: Client, made: Export) -> Export:
    """The export when it has ended."""
    with WorkBoard(f"export {made.dataset}") as board:
        while made.state in ("queued", "running"):
            board.update(made.rows, made.estimated_rows or made.rows)
            time.sleep(_POLL_S)
            made = client.exports.get(made.id)
        board.update(made.rows, made.rows)
    return made
