"""How the source of a dataset drifts from what it was, and what a decision about it changes in the dataset's file."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from headrace.contract import Contract, Decision, FileEdit
from headrace.contract.fields import LogicalType
from headrace.transform.typed import OF_CELLS, OF_TEXT

Act = Literal["accept", "map", "cast", "leave-out", "reject"]

UNKNOWN, MISFIT = "unknown_field", "wrong_type"

_LONG_INTEGER: Final = 18
#: What texts are taken for, the narrowest first.
_WORDS: Final[Mapping[str, LogicalType]] = {
    "BIGINT": "integer",
    "DOUBLE": "number",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMPTZ": "timestamp",
}


@dataclass(frozen=True, slots=True)
class Drift:
    """Open rows that were set aside for one column, and one reason: UNKNOWN or MISFIT.

    `first` is the quarantined row that was set aside first, `place` where the source had it.
    """

    column: str
    reason: str
    rows: int
    since: datetime
    until: datetime
    first: str
    place: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody wants done about a column. `to` is a column, `expression` SQL."""

    act: Act
    to: str | None = None
    expression: str | None = None
    type: LogicalType | None = None


class Impossible(ValueError):
    """Nothing of the kind can be done about the column; the text says why, and what can."""


def likely_type(values: Iterable[Any]) -> LogicalType:
    """The narrowest type that all values are likely of, None left out; text when there is none."""
    given = [value for value in values if value is not None and value != ""]
    kinds = {type(value) for value in given}
    if kinds & {dict, list}:
        return "object"
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        return "integer"
    if kinds and kinds <= {int, float}:
        return "number"
    if kinds == {str}:
        looks = [_looks_like(value.strip()) for value in given]
        return next((word for word in _WORDS.values() if all(word in look for look in looks)), "string")
    return "string"


def _looks_like(text: str) -> set[LogicalType]:
    looks = {_WORDS[kind] for kind, look in (*OF_CELLS, *OF_TEXT) if re.fullmatch(look, text)}
    return looks if len(text.lstrip("+-")) <= _LONG_INTEGER else looks - {"integer"}  # may be more than 64 bits hold


def declared(contract: Contract) -> frozenset[str]:
    """The columns of the source that the file tells: none of them is new, whatever rows were once set aside for."""
    fields = contract.schema_.fields if contract.transform.sql is None else []
    kept = (decision.keep_as for decision in contract.source.drift.values() if decision.keep_as is not None)
    return frozenset([*contract.source.columns, *(field.name for field in fields), *kept])


def edit_for(
    contract: Contract, drift: Drift, choice: Choice, likely: LogicalType, outputs: Iterable[str]
) -> FileEdit | None:
    """What a choice changes in the file; None when it changes nothing (rows are given up). Errors: Impossible.

    `outputs` are the published columns that the SQL makes of the column as it is.
    """
    column, word = drift.column, contract.source.columns.get(drift.column)
    known = drift.reason == MISFIT or column in declared(contract)
    as_it_is = contract.transform.sql is None or column in outputs
    match choice.act:
        case "accept" if drift.reason == MISFIT or (known and choice.to is not None):
            kept = choice.to or f"{column}_text"
            return FileEdit(column, Decision(keep_as=kept), publish=(kept, "string") if as_it_is else None)
        case "accept":
            word = choice.type or word or likely  # as it was accepted, if rows came on the way
            return FileEdit(column, type=word, publish=(column, word) if as_it_is else None)
        case "map" if known:
            raise Impossible(
                f"{column} is a column already, whose values do not fit: cast it, or accept them as text beside it"
            )
        case "map" if choice.to is None:
            raise Impossible(f"say which column {column} is, under another name")
        case "map":
            return FileEdit(column, Decision(rename_to=choice.to))
        case "cast" if not known:
            raise Impossible(
                f"{column} is not known yet, so there is no type its values would not fit: accept or map it"
            )
        case "cast" if choice.expression is None:
            raise Impossible(f"say by which expression the values of {column} are made ones that fit")
        case "cast":
            return FileEdit(column, Decision(cast=choice.expression))
        case "leave-out":
            return FileEdit(column, Decision(leave_out=True))
    return None
