"""How the rows of a test are read: a list of mappings, JSON Lines, or CSV, whose cells are text."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Never

from headrace.contract.issue import Issue
from headrace.contract.names import closest

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class GivenRows:
    """Rows as plain values. `texts` says that every value is text or None, as CSV knows no other."""

    rows: Sequence[Row]
    texts: bool = False

    @property
    def columns(self) -> list[str]:
        """Every column that a row names, in the order of their first mention."""
        return list(dict.fromkeys(name for row in self.rows for name in row))


class RowTextError(Exception):
    """The text holds no rows. `issue` says why."""

    def __init__(self, issue: Issue) -> None:
        super().__init__(f"found {issue.found}, expected {issue.expected}")
        self.issue = issue


def rows_of(written: Sequence[Row] | str) -> GivenRows:
    """The rows that are written. Errors: RowTextError."""
    if not isinstance(written, str):
        return GivenRows(written)
    if written.lstrip().startswith("{"):
        return GivenRows(_json_lines(written))
    return GivenRows(_csv(written), texts=True)


def _json_lines(text: str) -> list[Row]:
    rows = []
    for line, each in enumerate(text.splitlines(), 1):
        if not each.strip():
            continue
        try:
            row = json.loads(each, parse_constant=_refused)
        except (ValueError, RecursionError) as error:
            raise RowTextError(Issue((), f"{each[:60]!r} ({error})", "one JSON object a line", line=line)) from None
        if not isinstance(row, dict):
            raise RowTextError(Issue((), repr(each[:60]), "a JSON object", line=line))
        rows.append(row)
    return rows


def _refused(word: str) -> Never:
    raise ValueError(f"{word} is not JSON")


def _csv(text: str) -> list[Row]:
    """Cells may be padded with blanks, so that columns stand under each other; an empty one is null."""
    reader = csv.reader(io.StringIO(text.strip("\n")), skipinitialspace=True, strict=True)
    header: list[str] = []
    rows: list[Row] = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not header:
                header = cells
                _check_header(header)
                continue
            if len(cells) != len(header):
                found = f"{len(cells)} cell{'s' if len(cells) != 1 else ''}"
                raise RowTextError(Issue((), found, f"{len(header)}, as in the header", line=reader.line_num))
            rows.append({name: cell or None for name, cell in zip(header, cells, strict=True)})
    except csv.Error as error:
        raise RowTextError(Issue((), f"CSV that cannot be read: {error}", "CSV", line=reader.line_num)) from None
    if not header:
        raise RowTextError(Issue((), "no row", "CSV with a header, or one JSON object a line"))
    return rows


def _check_header(header: Sequence[str]) -> None:
    for name in header:
        if not name or header.count(name) > 1:
            found = f"the column {name!r} twice" if name else "a column without a name"
            raise RowTextError(Issue((), found, "a header that names each column once", closest(name, header), 1))
