"""Where a whole snapshot starts among those that were broken off.

When the worker dies in the middle, Debezium takes the snapshot again from its first row. What the attempt before has
written must not be read: its rows would come twice, and those that were deleted in between would stay for ever.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

_SOURCE: Final = b'"source":'
_STARTS: Final = ("first", "first_in_data_collection")
_DECODER: Final = json.JSONDecoder()
_IDENTITY: Final = ("lsn", "txId", "file", "pos", "gtid")


def start(messages: Iterable[tuple[int, bytes | None]]) -> int | None:
    """The offset of the first row of the last attempt, given offsets and values; None when no row is part of a snapshot."""
    found: int | None = None
    attempt: tuple[Any, ...] | None = None
    for offset, value in messages:
        source = _source(value) if value is not None else {}
        mark = source.get("snapshot")
        if mark in (None, False, "false"):
            continue
        identity = tuple(source.get(name) for name in _IDENTITY)
        if found is None or mark in _STARTS or identity != attempt:
            found, attempt = offset, identity
    return found


def _source(value: bytes) -> dict[str, Any]:
    """What an envelope says of its source: it comes behind the row, in which no text can look like it."""
    at = value.rfind(_SOURCE)
    found, _ = _DECODER.raw_decode(value[at + len(_SOURCE) :].decode()) if at >= 0 else ({}, 0)
    return found if isinstance(found, dict) else {}
