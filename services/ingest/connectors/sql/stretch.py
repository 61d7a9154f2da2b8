"""A stretch of time as values of a cursor: whether the column tells time at all, and what its bounds are called there."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from headrace.connector import Stretch
from headrace.errors import Fatal

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?")


def bounds(name: str, type: pa.DataType, example: Any, stretch: Stretch) -> tuple[str, str]:
    """The first value of a cursor that belongs to a stretch, and the first behind it; `example` is one of its values.

    Moments without a zone are taken for UTC, days for their midnight. Errors: Fatal when the cursor does not tell time.
    """
    moments = stretch.since.astimezone(UTC), stretch.until.astimezone(UTC)
    if pa.types.is_timestamp(type):
        shown = moments if type.tz is not None else [at.replace(tzinfo=None) for at in moments]
        return str(shown[0]), str(shown[1])
    if pa.types.is_date(type):
        return _day(moments[0]), _day(moments[1])
    if _is_text(type) and isinstance(example, str) and _DAY.fullmatch(example):
        if any(at != at.replace(hour=0, minute=0, second=0, microsecond=0) for at in moments):
            raise Fatal(
                f"the cursor {name!r} holds times as text, which are only compared by days: give whole days (UTC)"
            )
        return _day(moments[0]), _day(moments[1])
    raise Fatal(f"the cursor {name!r} is of type {type}, and does not tell dates or times")


def _day(at: datetime) -> str:
    """The first day whose midnight is not before a moment. Errors: Fatal behind the last day there is."""
    whole = at.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        return str((whole if whole == at else whole + timedelta(days=1)).date())
    except OverflowError as error:
        raise Fatal(f"there is no day behind {at}: give an earlier one") from error


def _is_text(type: pa.DataType) -> bool:
    return bool(pa.types.is_string(type) or pa.types.is_large_string(type))
