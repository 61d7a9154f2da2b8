"""A snapshot that was broken off and taken again is read from where it was taken again."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from services.ingest.connectors.cdc.snapshot import start


def message(mark: str | None, lsn: int = 1, **after: Any) -> bytes:
    source = {"lsn": lsn, "snapshot": mark}
    payload = {"before": None, "after": after, "source": source, "transaction": None, "op": "r"}
    return json.dumps({"schema": {"fields": []}, "payload": payload}, separators=(",", ":")).encode()


WHOLE = [message("first"), message("true"), message("last")]


@pytest.mark.parametrize(
    ("messages", "first"),
    [
        ([], None),
        ([message("false", 5)], None),
        (WHOLE, 0),
        ([*WHOLE, message("false", 2), message("false", 3)], 0),
        ([message("first"), message("true"), *WHOLE], 2),
        ([message("first"), message("first"), message("true"), message("last")], 1),
        ([message("first"), message("true"), message("last", 9)], 2),
        ([message("first", 1, snapshot="first", source="x"), message("true", 1, snapshot="first"), message("last")], 0),
        ([None, *WHOLE], 1),
    ],
    ids=[
        "empty",
        "changes",
        "whole",
        "then changes",
        "again",
        "at once again",
        "one row left",
        "look-alikes",
        "no value",
    ],
)
def test_where_the_last_attempt_starts(messages: Sequence[bytes | None], first: int | None) -> None:
    assert start(enumerate(messages)) == first
