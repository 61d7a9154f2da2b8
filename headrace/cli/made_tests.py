"""How a test that was made of a row is printed, and written into a dataset's file or the file with its tests."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from headrace import contract
from headrace.cli.documents import read
from headrace.cli.edited_file import EditedFile
from headrace.cli.files import text_of
from headrace.cli.render import Format, console, emit, note, safe
from headrace.client import MadeTest
from headrace.contract import Contract
from headrace.errors import HeadraceError

AsTest = Annotated[bool, typer.Option("--as-test", help="Print it as a test of the dataset file, with stand-ins.")]
TestFile = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        help="With --as-test: the dataset file, or that of its tests, to write it into.",
        show_default=False,
    ),
]
Clear = Annotated[
    list[str] | None,
    typer.Option(
        "--clear", metavar="COLUMN", help="With --as-test: show the real values of a column.", show_default=False
    ),
]


def refuse_alone(as_test: bool, file: Path | None, clear: Sequence[str] | None) -> None:
    """Errors: HeadraceError when what belongs to a test is asked for without one."""
    if not as_test and (file is not None or clear):
        raise HeadraceError("--file and --clear are about a test that is made of the row: add --as-test.")


def made(dataset: str, tests: Sequence[MadeTest], file: Path | None, output: Format) -> None:
    """Show the tests, or write them into a file. Errors: HeadraceError when they would not pass there."""
    for each in tests:
        for masked in each.masked:
            note(f"  stand-ins for [bold]{safe(masked.column)}[/]: {safe(masked.why)}")
        for said in each.notes:
            note(f"[yellow]![/] {safe(said)}")
    if file is not None:
        _write(dataset, [each.test for each in tests], file)
    elif output is Format.TABLE:
        typer.echo(as_yaml([each.test for each in tests]), nl=False)
    if file is None and output is not Format.TABLE:
        emit({"items": tests}, output, list)


def as_yaml(tests: Sequence[Mapping[str, Any]]) -> str:
    """Tests as they may stand in a dataset file, or in the file beside it."""
    yaml = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump(CommentedMap(tests=CommentedSeq(map(_laid_out, tests))), text)
    return text.getvalue()


def _laid_out(test: Mapping[str, Any]) -> CommentedMap:
    """A test with a line for each row."""
    expect = dict(test["expect"])
    laid = CommentedMap(test)
    laid["given"] = _rows(test["given"])
    if "ref" in test:
        laid["ref"] = CommentedMap({name: _rows(rows) for name, rows in test["ref"].items()})
    if "rows" in expect:
        expect["rows"] = _rows(expect["rows"])
    laid["expect"] = CommentedMap({name: _flow(value) for name, value in expect.items()})
    return laid


def _rows(rows: Sequence[Mapping[str, Any]]) -> CommentedSeq:
    laid = CommentedSeq(map(_flow, rows))
    if not rows:
        laid.fa.set_flow_style()
    return laid


def _flow(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    laid = CommentedMap(value)
    laid.fa.set_flow_style()
    return laid


def _write(dataset: str, tests: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Errors: HeadraceError, with nothing written."""
    place, whole = _place(dataset, path)
    listed = place.values.setdefault("tests", CommentedSeq())
    if not isinstance(listed, list):
        raise HeadraceError(f"{place.origin}: its `tests` are no list.")
    if twice := [test["name"] for test in tests if test["name"] in [each.get("name") for each in listed]]:
        raise HeadraceError(f"{place.origin}: has a test named {twice[0]!r} already. Nothing was written.")
    if isinstance(listed, CommentedSeq):
        listed.fa.set_block_style()
    listed.extend(map(_laid_out, tests))
    _check(whole(place.text), tests, place.origin)
    try:
        place.write()
    except OSError as error:
        raise HeadraceError(f"{place.origin}: cannot be written: {error.strerror}.") from error


def _place(dataset: str, path: Path) -> tuple[EditedFile, Any]:
    """The file to write into, and how its new text is read as a contract. Errors: HeadraceError."""
    document, *_ = [each for each in read([path]) if each.valid]
    if document.valid.dataset != dataset:
        raise HeadraceError(f"{document.origin}: not the file of {dataset}: it declares {document.valid.dataset}.")
    if document.tests_origin is None:
        place = EditedFile(Path(document.origin), "the test")
        return place, lambda text: contract.load(text, place.origin)
    place = EditedFile(Path(document.tests_origin), "the test")
    origin, own = text_of(Path(document.origin))
    return place, lambda text: contract.load_with_tests(own, origin, text, place.origin)


def _check(found: Contract, tests: Sequence[Mapping[str, Any]], origin: str) -> None:
    """Errors: HeadraceError when the tests do not pass by the file as it is."""
    from headrace.transform.trial import run_tests

    names = [test["name"] for test in tests]
    mine = found.model_copy(update={"tests": [test for test in found.tests if test.name in names]})
    for verdict in run_tests(mine):
        for difference in verdict.differences:
            console(err=True).print(f"  {safe(difference)}")
        if not verdict.passed:
            raise HeadraceError(
                f"{origin}: by this file the row ends otherwise than by the version that is live. Nothing was written."
            )
