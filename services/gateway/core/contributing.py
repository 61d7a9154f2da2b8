"""Decides how it is asked which rows of other datasets a row was made of: with which values, and as of when."""
# ruff: noqa: S608

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from headrace.contract.contributing import COORDINATES
from headrace.stream import columns

_NUMBERS: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def typed(fields: Mapping[str, Any], schema: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The values of a raw record, that are as JSON has them, as its Avro schema means them. The platform's own are left out.

    A value that cannot be told is left out, too: bytes, times of day, maps.
    """
    kinds = {field["name"]: _kind(field["type"]) for field in schema}
    found = {name: _typed(value, kinds.get(name, "")) for name, value in fields.items() if not name.startswith("_")}
    return {name: value for name, value in found.items() if value is not NotImplemented}


def _kind(avro: Any) -> str:
    """The logical type, or else the type, of what is not null."""
    if isinstance(avro, list):
        return next((_kind(each) for each in avro if each != "null"), "")
    return str(avro.get("logicalType") or avro.get("type", "")) if isinstance(avro, Mapping) else str(avro)


def _typed(value: Any, kind: str) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if kind.startswith("timestamp"):
        return datetime.fromisoformat(value)
    if kind.startswith("local-timestamp"):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    match kind:
        case "date":
            return date.fromisoformat(value)
        case "decimal":
            return Decimal(value)
        case "float" | "double":
            return _NUMBERS.get(value, NotImplemented)
        case "string" | "uuid" | "enum" | "array" | "":
            return value
    return NotImplemented


def as_of(sql: str, until: datetime | None) -> str:
    """The rows of a query for contributing rows that were there by then, in their order."""
    there = f" WHERE {_there(until)}" if until is not None else ""
    return f"SELECT {', '.join(COORDINATES)} FROM ({sql}){there} ORDER BY {', '.join(columns.IDENTITY)}"


def counted(sql: str, until: datetime | None) -> str:
    """How many rows a query for contributing rows finds that were there by then, and how many that came later."""
    there = "1" if until is None else _there(until)
    return f"SELECT countIf({there}) AS found, count() - found AS later FROM ({sql})"


def _there(until: datetime) -> str:
    text = until.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return f"{columns.INGESTED_AT} <= toDateTime64('{text}', 6, 'UTC')"


def of_runs(dataset: str, read: int | None, shown: int | None) -> list[str]:
    """What is to be said of a dataset that is loaded in runs, whose rows are all replaced by a later one."""
    if shown is None:
        return [f"no run of {dataset} shows any more"]
    if read is None:
        return [f"these are rows of its run {shown}, which shows now; which one was read is not known"]
    return [] if read == shown else [f"these are rows of its run {shown}, which shows now; its run {read} was read"]
