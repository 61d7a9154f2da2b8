"""What the test says that is made of a row: what is given of it, which values get stand-ins, and what must become of it."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import sqlglot
from sqlglot import exp

from headrace.contract import Contract, Expectation, References, outputs_of
from headrace.contract.functions import OWN, calls
from headrace.contract.inputs import inputs
from headrace.contract.likely_personal import Personal, personal
from headrace.contract.rowwise import steps
from headrace.contract.sql import examine
from headrace.transform.expectation import Fates
from services.gateway.core.json_values import json_value

_SENSITIVE: Final = frozenset({"confidential", "restricted"})
_TAGS: Final = frozenset({"pii", "personal", "personal_data", "sensitive", "gdpr"})
_DECIMALS: Final = frozenset({"decimal", "decimal-string", "big-decimal"})

#: Values that rows of other datasets are looked for by travel in the address of a request, which may have 1 MB.
_LONGEST: Final = 500
_MOST_CHARACTERS: Final = 100_000

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of the row when it passed: `loaded`, `filtered` or `quarantined`, and by which rule. Empty when not known."""

    fate: str = ""
    rule: str = ""

    def __str__(self) -> str:
        return " by ".join(filter(None, (self.fate, self.rule)))


def given_of(contract: Contract, fields: Row, decimals: Iterable[str] = ()) -> dict[str, Any]:
    """What of a raw record a test has to give: the columns that the transform reads and that have a value.

    `decimals` are those whose values are exact numbers, which JSON has as text.
    """
    read, exact = inputs(contract.transform.sql), frozenset(decimals)
    spelled = {name.lower(): name for name in (*read.named, *read.perhaps)}
    own = {name: value for name, value in fields.items() if not name.startswith("_") and value is not None}
    if not read.passes_on:
        own = {spelled[name.lower()]: value for name, value in own.items() if name.lower() in spelled}
    return {name: _number(value) if name in exact else value for name, value in own.items()}


def decimals_of(schema: Iterable[Row]) -> frozenset[str]:
    """The fields of a record's schema that are exact numbers."""
    return frozenset(field["name"] for field in schema if any(map(_is_decimal, _kinds(field["type"]))))


def asked_of_references(contract: Contract) -> dict[str, tuple[str, ...]]:
    """The datasets that a row may need, each with the columns that are asked of it, or may be."""
    read = inputs(contract.transform.sql)
    asked: dict[str, dict[str, None]] = {}
    for name in examine(contract.transform.sql).references:
        asked[name] = dict.fromkeys((*read.of_references.get(name, ()), *read.perhaps))
    for check in contract.checks:
        if isinstance(check, References):
            asked.setdefault(check.dataset, {})[check.to] = None
    return {name: tuple(columns) for name, columns in asked.items()}


def columns_of(other: Contract, asked: Iterable[str]) -> list[str]:
    """Those of the columns that another dataset has, as far as it is known which it has."""
    declared = {field.name.lower() for field in other.schema_.fields}
    named = [name for name in asked if _NAME.fullmatch(name)]
    return [name for name in named if not declared or name.lower() in declared]


def as_given(other: Contract, row: Row) -> dict[str, Any]:
    """A row of another dataset as a test gives it: exact numbers, which JSON has as text, are numbers."""
    numbers = {field.name for field in other.schema_.fields if field.logicalType == "number"}
    return {name: _number(value) if name in numbers else value for name, value in row.items()}


def masked_columns(contract: Contract, given: Row, clear: Iterable[str] = ()) -> dict[str, str]:
    """The given columns that get stand-ins, each with the reason, but for those that are to stay `clear`."""
    shown = {name.lower() for name in clear}
    hashed = _hashed(contract)
    found: dict[str, str] = {}
    for name, value in given.items():
        if name.lower() in shown:
            continue
        if why := _classified(contract, name):
            found[name] = why
        elif name.lower() in hashed:
            found[name] = f"transform.sql puts it through {hashed[name.lower()]}()"
        elif (likely := personal(name, [value])) is not None:
            found[name] = _seems(likely)
    return found


def masked_published(other: Contract, row: Row, clear: Iterable[str] = ()) -> dict[str, str]:
    """The same of a row that another dataset publishes."""
    shown = {name.lower() for name in clear}
    found: dict[str, str] = {}
    for name, value in row.items():
        if name.lower() in shown:
            continue
        if why := _declared(other, {name.lower()}):
            found[name] = why
        elif (likely := personal(name, [value])) is not None:
            found[name] = _seems(likely)
    return found


def said_by(contract: Contract) -> frozenset[str]:
    """The texts that stand in the SQL and the checks, and so are no secret."""
    texts = {literal.name for tree in _trees(contract) for literal in tree.find_all(exp.Literal) if literal.is_string}
    for check in contract.checks:
        texts.update(_texts(check.model_dump(mode="json", include={"values", "min", "max"})))
    return frozenset(texts)


def hidden_outputs(contract: Contract) -> frozenset[str]:
    """The published columns that hold hashes or tokens, which depend on a key that tests do not have. In lower case."""
    keyed = {name for name, own in OWN.items() if own.keyed}
    return frozenset(
        part.alias.lower()
        for tree in _trees(contract)
        for part in tree.find_all(exp.Alias)
        if any(name in keyed for _, name in calls(part))
    )


def expected_of(fates: Fates, without: Iterable[str] = ()) -> Expectation:
    """What became of the rows, as a test expects it; `without` are published columns it says nothing of, in lower case."""
    left_out = frozenset(without)
    rejected: dict[str, int] = {}
    for _, rule, _ in fates.rejected:
        rejected[rule] = rejected.get(rule, 0) + 1
    rows = [
        {
            name: json_value(value)
            for name, value in row.items()
            if not name.startswith("_") and name.lower() not in left_out and not isinstance(value, bytes)
        }
        for row in fates.published
    ]
    said: dict[str, Any] = {"rows": rows} if rows else {"row_count": 0}
    said |= {"rejected": rejected} if rejected else {}
    said |= {"filtered": dict(fates.filtered)} if fates.filtered else {}
    said |= {"flagged": dict(fates.flagged)} if fates.flagged else {}
    return Expectation(**said)


def end_of(fates: Fates) -> tuple[Any, ...]:
    """What became of the rows, of their values only which are missing."""
    return (
        [[name for name, value in row.items() if value is None] for row in published(fates)],
        sorted(rule for _, rule, _ in fates.rejected),
        sorted(fates.filtered.items()),
        sorted(fates.flagged.items()),
    )


def outcome_of(fates: Fates) -> Recorded:
    """What became of the one row that was given."""
    if fates.rejected:
        return Recorded("quarantined", fates.rejected[0][1])
    if fates.filtered:
        return Recorded("filtered", next(iter(fates.filtered)))
    return Recorded("loaded")


def published(fates: Fates) -> list[Row]:
    """The rows that were published, as values that can be compared."""
    return [{name: value for name, value in row.items() if not name.startswith("_")} for row in fates.published]


def scalars(rows: Sequence[Row]) -> list[str]:
    """The values of rows as the warehouse may have them as text, each once: as they are, in small letters and in capitals.

    Long texts, by which nothing is joined, and what is more than can be asked for are left out.
    """
    found: dict[str, None] = {}
    for value in _scalars([dict(row) for row in rows]):
        for text in (str(value), str(value).strip().lower(), str(value).strip().upper()):
            found[text] = None
    wanted = [text for text in found if 0 < len(text) <= _LONGEST]
    upto = accumulate(map(len, wanted))
    return [text for text, characters in zip(wanted, upto, strict=True) if characters <= _MOST_CHARACTERS]


def _scalars(value: Any) -> Iterator[Any]:
    match value:
        case dict():
            for each in value.values():
                yield from _scalars(each)
        case list():
            for each in value:
                yield from _scalars(each)
        case None | bool():
            return
        case _:
            yield value


def _classified(contract: Contract, column: str) -> str:
    """Why a column of the source is confidential: by what is declared of a published column that is computed from it."""
    outputs = outputs_of(contract, column)
    return _declared(contract, {name.lower() for name in (*outputs.columns, *outputs.unsure)})


def _declared(contract: Contract, published: Collection[str]) -> str:
    """Why any of these published columns is confidential, by what is declared. Names are in lower case."""
    fields = [field for field in contract.schema_.fields if field.name.lower() in published]
    for field in fields:
        level = field.classification or contract.classification
        if level in _SENSITIVE:
            return f"{field.name} is {level}"
        if tags := _TAGS & {tag.lower() for tag in field.tags}:
            return f"{field.name} has the tag {min(tags)}"
    if not fields and contract.classification in _SENSITIVE:
        return f"{contract.dataset} is {contract.classification}"
    return ""


def _seems(likely: Personal) -> str:
    return f"seems to be: {likely.what} (by its {likely.why})"


def _hashed(contract: Contract) -> dict[str, str]:
    """The columns that go into a function for personal data, in lower case, each with the function."""
    return {
        column.name.lower(): name
        for tree in _trees(contract)
        for call, name in calls(tree)
        if name in OWN
        for column in call.find_all(exp.Column)
    }


def _trees(contract: Contract) -> Iterator[exp.Expr]:
    if contract.transform.sql:
        query = sqlglot.parse_one(contract.transform.sql, dialect="duckdb")
        assert isinstance(query, exp.Select)
        yield from (select for _, select in steps(query))
    for check in contract.checks:
        if check.check == "expression":
            yield sqlglot.parse_one(check.sql, dialect="duckdb")


def _texts(value: Any) -> Iterator[str]:
    return (each for each in _scalars(value) if isinstance(each, str))


def _kinds(avro: Any) -> list[Any]:
    return avro if isinstance(avro, list) else [avro]


def _is_decimal(avro: Any) -> bool:
    return isinstance(avro, dict) and avro.get("logicalType") in _DECIMALS


def _number(value: Any) -> Any:
    """An exact number as a test has it: as a number where that loses no digit."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    return int(value) if str(value).lstrip("-").isdigit() else number if repr(number) == value else value
