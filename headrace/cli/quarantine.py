"""Commands about rows that were set aside: look at them, have somebody see to them, have them read anew, give them up."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from headrace.cli import files, made_tests, quarantine_tables
from headrace.cli.made_tests import AsTest, Clear, TestFile
from headrace.cli.observe import DatasetArgument
from headrace.cli.quarantine_export import ExportFormat, lines
from headrace.cli.render import Format, Output, count, emit, note
from headrace.cli.session import session_of
from headrace.client import QuarantineAsked
from headrace.errors import HeadraceError

app = typer.Typer(no_args_is_help=True, help="See to the rows that were set aside.")

Ids = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="As `quarantine ls` prints them.", show_default=False)
]
Reason = Annotated[str | None, typer.Option(help="Only this reason, as in check_references.", show_default=False)]
Column = Annotated[str | None, typer.Option(help="Only rows set aside for this column.", show_default=False)]
Rule = Annotated[str | None, typer.Option(help="Only rows set aside by this check.", show_default=False)]
Stage = Annotated[str | None, typer.Option(help="Only rows set aside by this stage.", show_default=False)]
Shape = Annotated[
    str | None,
    typer.Option(
        help="Only rows whose value at fault has this shape, as `quarantine clusters` prints it.", show_default=False
    ),
]
AssignedTo = Annotated[
    str | None,
    typer.Option(
        "--assigned-to",
        metavar="WHO",
        help="Only rows that are assigned to this person; '' for nobody.",
        show_default=False,
    ),
]
AllMatching = Annotated[bool, typer.Option("--all-matching", help="Every open row, when nothing narrows them down.")]
Because = Annotated[str, typer.Option(help="Why; it is kept with each row.", show_default=False)]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Change nothing: say which rows, and what would become of some.")
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until something became of every row.")]


@app.command("ls")
def quarantine_ls(
    context: typer.Context,
    dataset: DatasetArgument,
    reason: Reason = None,
    assigned_to: AssignedTo = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many rows to list.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Also rows that were resubmitted or discarded.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """List quarantined rows, clustered by cause.

    Examples:

        headrace quarantine ls nyc.flights
        headrace quarantine ls nyc.flights --reason check_references -n 5
        headrace quarantine ls nyc.flights --assigned-to ada
        headrace quarantine ls nyc.flights --all
    """
    with session_of(context).client() as client:
        found = client.quarantine.get(dataset, reason, limit, everything=everything, assigned_to=assigned_to)
    emit(found, output, lambda: quarantine_tables.listed(dataset, found))


@app.command("show")
def quarantine_show(
    context: typer.Context,
    dataset: DatasetArgument,
    row_id: Annotated[str, typer.Argument(metavar="ID", help="As `quarantine ls` prints it.", show_default=False)],
    as_test: AsTest = False,
    file: TestFile = None,
    clear: Clear = None,
    output: Output = Format.TABLE,
) -> None:
    """Show one quarantined row: why, where, its values, and what was done about it.

    With --as-test it becomes a test of the dataset file. Columns that are confidential, or seem to hold personal data, have
    stand-ins.

    Examples:

        headrace quarantine show nyc.flights 0-17
        headrace quarantine show nyc.flights 0-17 --as-test --file flights.yaml
    """
    made_tests.refuse_alone(as_test, file, clear)
    with session_of(context).client() as client:
        if as_test:
            made_tests.made(dataset, [client.quarantine.as_test(dataset, row_id, clear or ())], file, output)
            return
        row = client.quarantine.row(dataset, row_id)
    emit(row, output, lambda: quarantine_tables.one(row))


@app.command("clusters")
def quarantine_clusters(
    context: typer.Context,
    dataset: DatasetArgument,
    hours: Annotated[int, typer.Option(min=1, max=24 * 366, help="How far back the trend reaches.")] = 24,
    everything: Annotated[bool, typer.Option("--all", help="Also rows that were resubmitted or discarded.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Show what is wrong with quarantined rows: by cause, and by the shape of the value at fault.

    A shape has 9 for digits, A for capitals and a for small letters: `A9-9` is that of `AB12-7`. Each has its trend in 24
    equal stretches of time, examples, and the newest moment.

    Examples:

        headrace quarantine clusters nyc.flights
        headrace quarantine clusters nyc.flights --hours 168
        headrace quarantine resubmit nyc.flights --column dest --shape a --set "dest=upper(dest)" --because "lower case"
    """
    with session_of(context).client() as client:
        found = client.quarantine.clusters(dataset, hours, everything=everything)
    emit(found, output, lambda: quarantine_tables.clustered(dataset, found))


@app.command("export")
def quarantine_export(
    context: typer.Context,
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option("--out", help="Where to write; - for standard output.", show_default=False)],
    form: Annotated[ExportFormat, typer.Option("--format", help="Lines of JSON, or CSV.")] = ExportFormat.NDJSON,
    reason: Reason = None,
    column: Column = None,
    rule: Rule = None,
    stage: Stage = None,
    shape: Shape = None,
    everything: Annotated[bool, typer.Option("--all", help="Also rows that were resubmitted or discarded.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write every quarantined row to a file: what it holds, why it was set aside, what was done about it.

    Examples:

        headrace quarantine export nyc.flights --out aside.ndjson
        headrace quarantine export nyc.flights --rule references_dest --format csv --out aside.csv
    """
    causes = {"reason": reason, "column": column, "rule": rule, "stage": stage, "shape": shape}
    with session_of(context).client() as client:
        rows = client.quarantine.export(dataset, everything=everything, **causes)
        written = files.write_lines(out, lines(rows, form), force=force)
    note(f"  {count(written - (form is ExportFormat.CSV), 'row')}")


@app.command("resubmit")
def quarantine_resubmit(
    context: typer.Context,
    dataset: DatasetArgument,
    because: Because,
    ids: Ids = None,
    reason: Reason = None,
    column: Column = None,
    rule: Rule = None,
    stage: Stage = None,
    shape: Shape = None,
    assigned_to: AssignedTo = None,
    all_matching: AllMatching = False,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="COLUMN=EXPR", help="A column of the source's row by SQL over it.", show_default=False
        ),
    ] = None,
    patch: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="A JSON Patch of the source's row, or @FILE with one.", show_default=False),
    ] = None,
    dry_run: DryRun = False,
    wait: Wait = True,
    output: Output = Format.TABLE,
) -> None:
    """Read quarantined rows anew, edited if asked, each exactly once.

    They pass every stage once more. Where the newest row of a key counts, each is as old as it was, and does not replace
    a newer one. A row that ingest refuses stays in quarantine.

    Examples:

        headrace quarantine resubmit nyc.flights --reason check_references --because "four airports were added"
        headrace quarantine resubmit nyc.flights 0-17 0-18 --set "dest=upper(dest)" --because "typed in lower case"
        headrace quarantine resubmit nyc.flights --column dest --because "is it many?" --dry-run
    """
    edit = {"set": _sets(sets or []) or None, "patch": _patch(patch)}
    causes = {"reason": reason, "column": column, "rule": rule, "stage": stage, "shape": shape}
    chosen = _chosen(ids, all_matching, assigned_to=assigned_to, **causes)
    _ask(context, dataset, "resubmit", {**chosen, **edit, "because": because, "dry_run": dry_run}, wait, output)


@app.command("discard")
def quarantine_discard(
    context: typer.Context,
    dataset: DatasetArgument,
    because: Because,
    ids: Ids = None,
    reason: Reason = None,
    column: Column = None,
    rule: Rule = None,
    stage: Stage = None,
    shape: Shape = None,
    assigned_to: AssignedTo = None,
    all_matching: AllMatching = False,
    dry_run: DryRun = False,
    wait: Wait = True,
    output: Output = Format.TABLE,
) -> None:
    """Give quarantined rows up, for good. The books count them as discarded.

    Examples:

        headrace quarantine discard nyc.flights 0-17 --because "a test record"
    """
    causes = {"reason": reason, "column": column, "rule": rule, "stage": stage, "shape": shape}
    chosen = _chosen(ids, all_matching, assigned_to=assigned_to, **causes)
    _ask(context, dataset, "discard", {**chosen, "because": because, "dry_run": dry_run}, wait, output)


@app.command("assign")
def quarantine_assign(
    context: typer.Context,
    dataset: DatasetArgument,
    to: Annotated[str, typer.Option("--to", metavar="WHO", help="Who is to see to them.", show_default=False)],
    because: Because,
    ids: Ids = None,
    reason: Reason = None,
    column: Column = None,
    rule: Rule = None,
    stage: Stage = None,
    shape: Shape = None,
    assigned_to: AssignedTo = None,
    all_matching: AllMatching = False,
    dry_run: DryRun = False,
    wait: Wait = True,
    output: Output = Format.TABLE,
) -> None:
    """Say who is to see to quarantined rows. They stay as they are, and in quarantine.

    Examples:

        headrace quarantine assign nyc.flights --rule references_dest --to ada --because "she knows the airports"
        headrace quarantine assign nyc.flights --assigned-to ada --to grace --because "ada is away"
    """
    causes = {"reason": reason, "column": column, "rule": rule, "stage": stage, "shape": shape}
    chosen = _chosen(ids, all_matching, assigned_to=assigned_to, **causes)
    _ask(context, dataset, "assign", {**chosen, "to": to, "because": because, "dry_run": dry_run}, wait, output)


@app.command("unassign")
def quarantine_unassign(
    context: typer.Context,
    dataset: DatasetArgument,
    because: Because,
    ids: Ids = None,
    reason: Reason = None,
    column: Column = None,
    rule: Rule = None,
    stage: Stage = None,
    shape: Shape = None,
    assigned_to: AssignedTo = None,
    all_matching: AllMatching = False,
    dry_run: DryRun = False,
    wait: Wait = True,
    output: Output = Format.TABLE,
) -> None:
    """Take quarantined rows back from whom they are assigned to.

    Examples:

        headrace quarantine unassign nyc.flights --assigned-to ada --because "she has left"
    """
    causes = {"reason": reason, "column": column, "rule": rule, "stage": stage, "shape": shape}
    chosen = _chosen(ids, all_matching, assigned_to=assigned_to, **causes)
    _ask(context, dataset, "unassign", {**chosen, "because": because, "dry_run": dry_run}, wait, output)


def _chosen(ids: list[str] | None, all_matching: bool, **causes: str | None) -> dict[str, Any]:
    return {"ids": ids or [], **causes, "all_matching": all_matching}


def _ask(
    context: typer.Context,
    dataset: str,
    act: Literal["resubmit", "discard", "assign", "unassign"],
    body: dict[str, Any],
    wait: bool,
    output: Format,
) -> None:
    with session_of(context).client() as client:
        acts: dict[str, Callable[..., QuarantineAsked]] = {
            "resubmit": client.quarantine.resubmit,
            "discard": client.quarantine.discard,
            "assign": client.quarantine.assign,
            "unassign": client.quarantine.unassign,
        }
        asked = acts[act](dataset, **body)
        if asked.request is None or not wait:
            emit(asked, output, lambda: quarantine_tables.asked_for(dataset, act, asked))
            return
        outcome = client.quarantine.wait(dataset, asked)
    emit(outcome, output, lambda: quarantine_tables.outcome_of(dataset, outcome))
    if outcome.refused:
        raise typer.Exit(1)


def _sets(texts: list[str]) -> dict[str, str]:
    """`COLUMN=EXPR` as pairs. Errors: HeadraceError."""
    pairs = [text.partition("=") for text in texts]
    for column, equals, expression in pairs:
        if not column.strip() or not equals or not expression.strip():
            raise HeadraceError(
                f'--set {column}{equals}{expression}: it has to be COLUMN=EXPR, as in --set "dest=upper(dest)"'
            )
    return {column.strip(): expression for column, _, expression in pairs}


def _patch(text: str | None) -> list[dict[str, Any]] | None:
    """A JSON Patch, as it stands or in the file that `@` names. Errors: HeadraceError."""
    if text is None:
        return None
    try:
        found = json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)
    except (OSError, ValueError) as error:
        raise HeadraceError(f"--patch: {error}") from error
    if not isinstance(found, list):
        raise HeadraceError(
            '--patch: a JSON Patch is a list, as in [{"op": "replace", "path": "/dest", "value": "SJU"}]'
        )
    return found
