"""Decides how a value that left the warehouse is written in a query, so that it equals what it was there."""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from services.ingest.connectors.model.columns import text


def moment(at: datetime) -> str:
    """A moment as ClickHouse reads it, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def equals(column: str, value: object) -> str | None:
    """The condition that a column has a value; None where there is no way to write it."""
    if value is None:
        return f"isNull({column})"
    if isinstance(value, float) and math.isnan(value):
        return f"isNaN({column})"
    if isinstance(value, datetime):  # it left with microseconds, and may have had more digits
        return f"({column} >= {_written(value)} AND {column} < {_written(value + timedelta(microseconds=1))})"
    written = _written(value)
    return None if written is None else f"{column} = {written}"


def _written(value: object) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return (
                repr(value) if math.isfinite(value) else None if math.isnan(value) else "-inf" if value < 0 else "inf"
            )
        case Decimal():
            return f"'{value:f}'"  # as text it is read with the digits that the column has
        case str():
            return text(value)
        case datetime():
            return f"toDateTime64('{moment(value)}', 6, 'UTC')"
        case date():
            return f"toDate32('{value.isoformat()}')"
        case list():
            each = [_written(item) if isinstance(item, int | float | str) else None for item in value]
            return None if None in each else f"[{', '.join(filter(None, each))}]"
        case _:
            return None
