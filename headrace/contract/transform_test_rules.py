"""The rules between the tests of a transform and the rest of the dataset file: each name they use is known there."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from headrace.contract import sql
from headrace.contract.checks import References
from headrace.contract.inputs import Inputs, inputs
from headrace.contract.issue import Issue, Path
from headrace.contract.names import among, closest
from headrace.contract.row_text import GivenRows, RowTextError, rows_of
from headrace.contract.transform_tests import CountRange, Range, Rows, TransformTest

if TYPE_CHECKING:
    from headrace.contract.model import Contract

FLAGS: Final = "_flags"
MOST_ROWS: Final = 1_000


def broken(contract: "Contract") -> list[Issue]:
    """Every broken rule of the tests of a contract that is valid otherwise."""
    issues: list[Issue] = []
    names: set[str] = set()
    read = inputs(contract.transform.sql) if contract.tests else None
    for at, test in enumerate(contract.tests):
        path = ("tests", at)
        if test.name in names:
            issues.append(Issue((*path, "name"), f"{test.name!r} for the second time", "each name once"))
        names.add(test.name)
        assert read is not None
        issues += _given(test.given, (*path, "given"), contract, read)
        issues += _given(test.before, (*path, "before"), contract, read)
        issues += _alike(test, path)
        issues += _references(test, path, contract)
        issues += _expected(test, path, contract)
    return issues


def _read(written: list[dict[str, Any]] | str, path: Path, issues: list[Issue]) -> GivenRows:
    """The rows; none, and an issue, when they cannot be read."""
    try:
        rows = rows_of(written)
    except RowTextError as error:
        issues.append(error.issue.under(path))
        return GivenRows(())
    if len(rows.rows) > MOST_ROWS:
        issues.append(Issue(path, f"{len(rows.rows):,} rows", f"at most {MOST_ROWS:,}: a test says most with a few"))
    return rows


def _given(written: Rows, path: Path, contract: "Contract", read: Inputs) -> Iterator[Issue]:
    issues: list[Issue] = []
    rows = _read(written, path, issues)
    yield from issues
    known = None if read.passes_on else {*read.mentioned, *contract.source.columns, *contract.key}
    for name in rows.columns:
        where = _first(written, name, path)
        if name.startswith("_"):
            yield Issue(where, repr(name), "a column of the source: a leading underscore marks system columns")
        elif known is not None and name not in known:
            expected = f"a column that transform.sql reads ({', '.join(sorted(known))})"
            yield Issue(where, f"the column {name!r}", expected, closest(name, known))


def _alike(test: TransformTest, path: Path) -> Iterator[Issue]:
    """Text that is in no quotes means another thing in CSV than elsewhere, and a column has one type."""
    with suppress(RowTextError):
        before, given = rows_of(test.before), rows_of(test.given)
        if before.rows and before.texts != given.texts:
            yield Issue(
                (*path, "before"), "another way to write rows", "the one in which `given` is written: CSV, or not"
            )


def _references(test: TransformTest, path: Path, contract: "Contract") -> Iterator[Issue]:
    issues: list[Issue] = []
    joined = sql.examine(contract.transform.sql).references
    known = [*joined, *(check.dataset for check in contract.checks if isinstance(check, References))]
    for name, written in test.ref.items():
        _read(written, (*path, "ref", name), issues)
        if name not in known:
            expected = f"a dataset that this one refers to ({', '.join(dict.fromkeys(known)) or 'it refers to none'})"
            issues.append(Issue((*path, "ref", name), repr(name), expected, closest(name, known)))
    yield from issues
    for name in joined:
        if name not in test.ref:
            yield Issue(
                path, f"no rows of {name}, which transform.sql joins", f"ref: {{{name}: [...]}}, or [] for none"
            )


def _expected(test: TransformTest, path: Path, contract: "Contract") -> Iterator[Issue]:
    path = (*path, "expect")
    expect, columns = test.expect, _published(contract)
    issues: list[Issue] = []
    if expect.rows is not None:
        rows = _read(expect.rows, (*path, "rows"), issues)
        for name in rows.columns:
            where = _first(expect.rows, name, (*path, "rows"))
            issues += _unknown(name, where, None if columns is None else [*columns, FLAGS])
    for name in expect.ranges:
        issues += _unknown(name, (*path, "ranges", name), columns)
    for name, range_ in expect.ranges.items():
        issues += _range(range_, (*path, "ranges", name))
    if isinstance(expect.row_count, CountRange):
        issues += _range(expect.row_count, (*path, "row_count"))
    yield from issues
    yield from _rejected(test, path, contract, columns)
    flagging = [check.name for check in contract.checks if check.name and check.severity == "flag"]
    yield from _named(expect.flagged, (*path, "flagged"), flagging, "a check of severity flag")
    yield from _left_out(expect.flagged, (*path, "flagged"), test, contract)
    compiled = sql.compile_transform(contract)
    conditions = [*compiled.rules, sql.NO_MATCH]
    yield from _named(expect.filtered, (*path, "filtered"), conditions, "a condition of transform.sql")


def _published(contract: "Contract") -> list[str] | None:
    """The columns of the published table; None when the source decides."""
    declared = [field.name for field in contract.schema_.fields]
    given = sql.examine(contract.transform.sql).columns if contract.transform.sql else None
    if declared and (contract.schema_.evolution != "evolve"):
        return declared
    return None if given is None else list(dict.fromkeys([*declared, *given]))


def _first(written: list[dict[str, Any]] | str, column: str, path: Path) -> Path:
    """Where rows first name a column."""
    if isinstance(written, str):
        return path
    return next(((*path, at, column) for at, row in enumerate(written) if column in row), path)


def _unknown(name: str, path: Path, columns: Sequence[str] | None) -> Iterator[Issue]:
    if columns is not None and name not in columns:
        expected = f"a column of the published table ({', '.join(columns)})"
        yield Issue(path, f"the column {name!r}", expected, closest(name, columns))


def _range(range_: Range | CountRange, path: Path) -> Iterator[Issue]:
    low, high = range_.min, range_.max
    if low is None and high is None:
        yield Issue(path, "neither min nor max", "one of them, or both")
    elif low is not None and high is not None:
        if isinstance(low, str) != isinstance(high, str):
            yield Issue(path, f"{low!r} and {high!r}", "min and max of one kind: two numbers, or two dates")
        elif low > high:  # type: ignore[operator]
            yield Issue(path, repr(high), f"a max that is not below min ({low!r})")


def _rejected(test: TransformTest, path: Path, contract: "Contract", columns: Sequence[str] | None) -> Iterator[Issue]:
    fields = contract.schema_.fields
    rules = [check.name for check in contract.checks if check.name and check.severity != "flag"]
    rules += [f"required_{field.name}" for field in fields if field.required]
    rules += [f"type_{name}" for name in (columns or [field.name for field in fields])]
    asked = test.expect.rejected
    named = [name for name in asked if not name.startswith("undeclared_")] if isinstance(asked, Mapping) else []
    others = ["transform_error", "too_costly", "too_large"]
    known = [*rules, *others]
    for name in named:
        if name not in known and not (columns is None and name.startswith("type_")):
            checks = [check.name for check in contract.checks if check.name and check.severity != "flag"]
            expected = among([*checks, "required_<column>", "type_<column>", *others])
            yield Issue((*path, "rejected", name), repr(name), expected, closest(name, known))
    yield from _left_out(asked, (*path, "rejected"), test, contract)


def _named(asked: Any, path: Path, known: Sequence[str], what: str) -> Iterator[Issue]:
    for name in asked if isinstance(asked, Mapping) else ():
        if name not in known:
            expected = f"{what} ({', '.join(known) or 'there is none'})"
            yield Issue((*path, name), repr(name), expected, closest(name, known))


def _left_out(asked: Any, path: Path, test: TransformTest, contract: "Contract") -> Iterator[Issue]:
    """A check that a test counts on must be judged in it."""
    for check in contract.checks:
        if not isinstance(check, References) or check.dataset in test.ref or not isinstance(asked, Mapping):
            continue
        if check.name in asked:
            expected = f"ref: {{{check.dataset}: [...]}}, without which {check.name} is left out of this test"
            yield Issue((*path, check.name or ""), repr(check.name), expected)
