"""Commands that deal with dataset files: init, validate, plan, apply.

Understanding dataset files takes a second to import: each command does so itself, and the others stay quick.
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType

from headrace.cli import changes, files, testing
from headrace.cli.progress import LoadBoard
from headrace.cli.render import Format, Output, command, count, emit, note
from headrace.cli.session import session_of
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from headrace.cli.documents import Document

CHANGES_EXIT = 2

Files = Annotated[
    list[Path],
    typer.Option("--file", "-f", help="A dataset file, a folder of them, or - for standard input.", show_default=False),
]


def init(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="A CSV, JSON Lines or Parquet file to infer columns from.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The dataset's name, domain.name.", show_default="my.<file name>")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write; - for standard output.", show_default="<name>.yaml")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a starter dataset file with comments.

    Given a file, its columns and types are inferred; without one, the dataset takes rows by HTTP.

    Examples:

        headrace init orders.csv --name shop.orders
        headrace init --name shop.clicks --out clicks.yaml
    """
    from headrace.cli import starter
    from headrace.contract import load

    dataset = name or f"my.{starter.plain_name(source.stem if source else 'events')}"
    text = starter.document(dataset, starter.look_at(source) if source else None)
    load(text, f"--name {dataset}")
    target = out or Path(f"{dataset.rpartition('.')[2]}.yaml")
    files.write(target, text, force=force)
    if target != files.STANDARD:
        note(f"  [dim]→[/] Say who owns it, then: {command(f'validate {target}')}")


def validate(
    paths: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Dataset files or folders of them.", show_default=False)
    ],
    output: Output = Format.TABLE,
) -> None:
    """Check dataset files without a gateway: every mistake at once, each with its place.

    Examples:

        headrace validate examples/nyc
        headrace validate flights.yaml -o json
    """
    from headrace.cli import excerpt
    from headrace.cli.applying import in_order
    from headrace.cli.documents import read

    documents = read(paths)
    broken = any(document.problems for document in documents)
    if not broken:
        in_order(documents)
    emit({"files": [_verdict(document) for document in documents]}, output, lambda: excerpt.verdicts(documents))
    if broken:
        raise typer.Exit(1)


def plan(
    context: typer.Context,
    paths: Files,
    back_test: Annotated[
        str | None,
        typer.Option(
            "--back-test",
            metavar="ROWS|DAYSd",
            help="Put so many of the newest rows, or those of the last days (3d) or hours (12h), to the live version and to "
            "the file, and show what would become of them.",
            show_default=False,
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what applying dataset files would change. Changes nothing.

    With `--back-test`, also which rows would be rejected, filtered or loaded that are not by the live version, and which
    values would be others: with the same rows, and the reference data as it is now.

    Exits with 0 when nothing would change, with 2 when something would, with 1 on an error or when applying would be
    refused.

    Examples:

        headrace plan -f flights.yaml
        headrace plan -f flights.yaml --back-test 100000
        headrace plan -f flights.yaml --back-test 3d
        headrace plan -f examples/nyc -o json
    """
    from headrace.cli.applying import in_order, planned
    from headrace.cli.back_test import back_tested, shown, span_of
    from headrace.cli.documents import read

    span = None if back_test is None else span_of(back_test)
    documents = in_order(all_valid(read(paths)))
    with session_of(context).client() as client:
        plans = planned(client, documents)
        changed = {plan.dataset for plan in plans if plan.current_version is not None and plan.changes_something}
        tested = {
            name: back_tested(client, name, document.whole, span)
            for document in documents
            if span is not None and (name := document.valid.dataset) in changed
        }
    found = {"plans": plans} | ({"back_tests": tested} if span is not None else {})

    def pages() -> Iterator[RenderableType]:
        yield from changes.plans(plans)
        for name, report in tested.items():
            yield from shown(name, report)

    emit(found, output, pages)
    if any(plan.refusals for plan in plans) or any(report.part == "failure" for report in tested.values()):
        raise typer.Exit(1)
    if any(plan.changes_something for plan in plans):
        raise typer.Exit(CHANGES_EXIT)


def apply(
    context: typer.Context,
    paths: Files,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until every row has reached its fate.")] = False,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0, help="How long to wait, in seconds.")] = 600,
    skip_tests: Annotated[
        bool, typer.Option("--skip-tests", help="Apply without running the tests; --because says why.")
    ] = False,
    because: Annotated[
        str | None,
        typer.Option("--because", help="Why the tests are skipped; kept with the version.", show_default=False),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Make dataset files live, in the order in which they refer to one another.

    Their tests are run first, here and by the gateway: nothing is sent when one fails.

    A dataset that refers to others of the same run is applied when these have settled, so that the rows it refers
    to are known.

    Examples:

        headrace apply -f flights.yaml
        headrace apply -f examples/nyc --wait
        headrace apply -f flights.yaml --skip-tests --because "the carrier renamed its codes, tests follow"
    """
    from headrace.cli.applying import apply_in_order, in_order
    from headrace.cli.documents import read

    reason = _reason(skip_tests, because)
    documents = in_order(all_valid(read(paths)))
    if reason is None:
        testing.all_pass(documents)
    with session_of(context).client() as client, LoadBoard() as board:
        applied, books = apply_in_order(client, documents, board, wait=wait, timeout_s=timeout_s, skip_tests=reason)
    result = {"applied": applied} | ({"ledgers": books} if wait else {})
    emit(result, output, lambda: changes.applied(applied, books if wait else ()))


def _reason(skip_tests: bool, because: str | None) -> str | None:
    """Why tests are skipped; None when they are not."""
    reason = (because or "").strip()
    if skip_tests and not reason:
        raise HeadraceError("--skip-tests needs a reason, which is kept with the version: --because TEXT.")
    if reason and not skip_tests:
        raise HeadraceError("--because says why tests are skipped: it needs --skip-tests.")
    return reason or None


def all_valid(documents: list["Document"]) -> list["Document"]:
    """The documents, when none has a problem; otherwise every problem is shown before anything is sent."""
    from headrace.cli import excerpt

    broken = [document for document in documents if document.problems]
    if not broken:
        return documents
    for line in excerpt.verdicts(broken):
        note(line)
    raise HeadraceError(f"Nothing was sent: {count(len(broken), 'file')} of {len(documents)} cannot be applied.")


def _verdict(document: "Document") -> dict[str, Any]:
    return {
        "file": document.origin,
        "valid": not document.problems,
        "dataset": document.contract.dataset if document.contract else None,
        "problems": [asdict(problem) for problem in document.problems],
    }
