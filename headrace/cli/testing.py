"""The command that runs the tests of dataset files, and how they went."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import RenderableType

from headrace.cli import files
from headrace.cli.render import Format, Output, console, count, emit, note, safe, table
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from headrace.cli.documents import Document
    from headrace.cli.junit import Suite
    from headrace.transform.trial import Verdict

_MOST_SHOWN: Final = 50


def run(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Dataset files or folders of them.", show_default="this folder"),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="Also write the results as JUnit XML.", show_default=False),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Run the tests of dataset files, without a gateway: given rows through the engine of the transformer.

    Tests stand under `tests:` in a dataset file, or in `<name>.tests.yaml` beside it. Exits with 1 when one fails.

    Examples:

        headrace test examples/nyc
        headrace test flights.yaml --junit report.xml
    """
    from headrace.cli import excerpt
    from headrace.cli.documents import read

    documents = read(paths or [Path()])
    broken = [document for document in documents if document.problems]
    for line in excerpt.verdicts(broken):
        note(line)
    if broken:
        raise HeadraceError(f"No test was run: {count(len(broken), 'file')} cannot be read.")
    suites = _judged(documents)
    if junit is not None:
        from headrace.cli.junit import junit as report

        files.write(junit, report(suites), force=True)
    emit({"tests": list(_plain(suites))}, output, lambda: _shown(suites))
    if any(not verdict.passed for _, _, verdicts in suites for verdict in verdicts):
        raise typer.Exit(1)


def all_pass(documents: Sequence["Document"]) -> None:
    """Run every test. Errors: HeadraceError, after what failed was shown."""
    suites = _judged(documents)
    failed = [(name, file, [v for v in verdicts if not v.passed]) for name, file, verdicts in suites]
    failed = [suite for suite in failed if suite[2]]
    if not failed:
        return
    for part in _shown(failed):
        console(err=True).print(part)
    wrong = sum(len(verdicts) for _, _, verdicts in failed)
    raise HeadraceError(
        f"Nothing was sent: {count(wrong, 'test')} failed. Mend the SQL or the test, "
        "or apply it as it is with --skip-tests --because TEXT."
    )


def _judged(documents: Sequence["Document"]) -> list["Suite"]:
    from headrace.transform.trial import run_tests

    return [
        (document.valid.dataset, document.tests_origin or document.origin, run_tests(document.valid))
        for document in documents
    ]


def _plain(suites: Sequence["Suite"]) -> Iterator[dict[str, Any]]:
    for dataset, file, verdicts in suites:
        for verdict in verdicts:
            yield {
                "dataset": dataset,
                "file": file,
                "test": verdict.test,
                "passed": verdict.passed,
                "took_s": round(verdict.took_s, 3),
                "differences": [asdict(difference) for difference in verdict.differences],
            }


def _shown(suites: Sequence["Suite"]) -> Iterator[RenderableType]:
    for dataset, _, verdicts in suites:
        for verdict in verdicts:
            mark = "[green]✓[/]" if verdict.passed else "[red]✗[/]"
            yield f"{mark} [bold]{safe(dataset)}[/]: {safe(verdict.test)} [dim]{verdict.took_s:.2f} s[/]"
            if not verdict.passed:
                yield _differences(verdict)
    ran = [verdict for *_, verdicts in suites for verdict in verdicts]
    failed = sum(not verdict.passed for verdict in ran)
    if failed:
        yield f"[bold red]{failed} of {count(len(ran), 'test')} failed.[/]"
    elif ran:
        yield f"[green]{count(len(ran), 'test')} passed.[/]"
    else:
        yield "No dataset file here has tests: write some under [bold]tests:[/]."


def _differences(verdict: "Verdict") -> RenderableType:
    shown = table("where", "expected", "got")
    for difference in verdict.differences[:_MOST_SHOWN]:
        shown.add_row(safe(difference.what), safe(difference.expected), safe(difference.got))
    if more := verdict.differences[_MOST_SHOWN:]:
        shown.add_row(f"and {len(more):,} more", "", "")
    return shown
