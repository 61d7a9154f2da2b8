"""How results look in a notebook: tables whose every cell is escaped, for a value may hold anything."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from pydantic import BaseModel

_MOST_ROWS: Final = 50
_MOST_CHARACTERS: Final = 200
_NUMBER: Final = ' style="text-align:right"'


def table_of(items: Sequence[Any]) -> str:
    """A table with a column for each field that any of these results has."""
    shown = [item.model_dump() if isinstance(item, BaseModel) else {"value": item} for item in items[:_MOST_ROWS]]
    if not shown:
        return "<em>nothing</em>"
    columns = list(dict.fromkeys(name for each in shown for name in each))
    return table(columns, ([each.get(name) for name in columns] for each in shown), of=len(items))


def fields_of(fields: Mapping[str, Any], title: str) -> str:
    """One result, a line for each field."""
    lines = "".join(f"<tr><th>{escape(name)}</th>{_cell(value)}</tr>" for name, value in fields.items())
    return f"<table><caption>{escape(title)}</caption>{lines}</table>"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, of: int) -> str:
    """The first rows of a table that has `of`."""
    lines = [row for row, _ in zip(rows, range(_MOST_ROWS), strict=False)]
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(_cell(value) for value in line)}</tr>" for line in lines)
    more = f"<p>{len(lines):,} of {of:,} rows</p>" if of > len(lines) else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(value: Any) -> str:
    if value is None:
        return "<td><em>–</em></td>"
    text = str(value)
    cut = text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
    number = _NUMBER if isinstance(value, int | float) and not isinstance(value, bool) else ""
    return f"<td{number}>{escape(cut)}</td>"
