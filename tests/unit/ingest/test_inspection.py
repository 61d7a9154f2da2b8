"""What is said of a source before anything is saved of it."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pyarrow as pa
import pytest

from headrace.connector import Fetched, SourceRow, Step, Stream
from headrace.contract.likely_personal import personal
from headrace.errors import Fatal, Transient
from services.ingest.core import profile
from services.ingest.core.inspection import inspected

ROWS = pa.RecordBatch.from_pydict(
    {
        "id": [1, 2, 3],
        "mail": ["a@x.org", None, "b@x.org"],
        "city": ["Bern", "Bern", "Chur"],
        "created_at": pa.array([1, 2, 3], pa.timestamp("us", "UTC")),
        "updated_at": pa.array([1, 2, 3], pa.timestamp("us", "UTC")),
    }
)


class Given:
    """A connector that finds what it was given."""

    waiting = False

    def __init__(
        self, steps: list[Step], fetched: list[Fetched], streams: list[Stream], error: Exception | None = None
    ) -> None:
        self._steps, self._fetched, self._streams, self._error = steps, fetched, streams, error

    def check(self) -> Iterator[Step]:
        yield from self._steps

    def discover(self) -> list[Stream]:
        return self._streams

    def read(self, position: str | None) -> Iterator[tuple[Fetched, str]]:
        if self._error:
            raise self._error
        for fetched in self._fetched:
            yield fetched, "0"


def parts(connector: Given, *, discover: bool = True) -> list[dict[str, Any]]:
    ticks = count()
    found = inspected(lambda: connector, lambda: float(next(ticks)), discover=discover)
    return [{"part": part.kind, **part.body} for part in found]


FINE = Step("connect", True, "connected")


def test_steps_come_first_each_with_its_time_and_the_end_last() -> None:
    steps = [FINE, Step("read", True, "5 columns")]
    said = parts(Given(steps, [Fetched(ROWS)], [Stream("t", ROWS.schema)]), discover=False)
    assert [each.get("name") for each in said] == ["connect", "read", "sample", None]
    assert [each["took_s"] for each in said[:3]] == [1, 1, 1]
    assert (said[-1]["part"], said[-1]["ok"]) == ("end", True)


def test_after_a_step_that_fails_nothing_is_read() -> None:
    said = parts(Given([FINE, Step("read", False, "denied", "source.table", "grant it")], [], [], Fatal("not reached")))
    assert [each.get("name") for each in said] == ["connect", "read", None]
    assert said[1]["remedy"] == "grant it"
    assert said[-1]["ok"] is False


@pytest.mark.parametrize("error", [Fatal("the table is gone"), Transient("the server went away")])
def test_an_error_becomes_a_step(error: Exception) -> None:
    said = parts(Given([FINE], [], [], error))
    assert (said[1]["ok"], said[1]["message"]) == (False, str(error))
    assert said[-1]["ok"] is False


def test_rows_that_cannot_be_read_are_said() -> None:
    bad = SourceRow(b"x", "wrong_type", "not a number", "t 1")
    none = parts(Given([FINE], [Fetched(ROWS.slice(0, 0), (bad,))], []))
    assert (none[1]["ok"], "not a number" in none[1]["message"]) == (False, True)
    some = parts(Given([FINE], [Fetched(ROWS, (bad,))], []))
    assert (some[1]["ok"], "1 would be quarantined" in some[1]["message"]) == (True, True)


def test_a_source_without_rows_yet_is_described_by_its_columns() -> None:
    (stream,) = (each for each in parts(Given([FINE], [], [Stream("t", ROWS.schema)])) if each["part"] == "stream")
    assert stream["rows_sampled"] == 0
    assert [column["null_share"] for column in stream["columns"]] == [None] * 5
    assert (stream["keys"], stream["cursors"]) == ([], [])


def test_what_the_source_declares_comes_before_what_the_sample_suggests() -> None:
    declared = Stream("t", ROWS.schema, keys=("city",), cursors=("id",))
    (said,) = (each for each in parts(Given([FINE], [Fetched(ROWS)], [declared])) if each["part"] == "stream")
    assert (said["keys"], said["keys_declared"], said["cursors"]) == (["city"], True, ["id"])
    exact = Stream("t", ROWS.schema.set(0, pa.field("id", pa.decimal128(12, 2))))
    (typed,) = (each for each in parts(Given([FINE], [Fetched(ROWS)], [exact])) if each["part"] == "stream")
    assert typed["columns"][0]["type"] == {"logicalType": "number", "physicalType": "decimal(12, 2)"}
    (guessed,) = (
        each for each in parts(Given([FINE], [Fetched(ROWS)], [Stream("t", ROWS.schema)])) if each["part"] == "stream"
    )
    assert (guessed["keys"], guessed["keys_declared"]) == (["id"], False)
    assert guessed["cursors"] == ["updated_at", "created_at"]


def test_a_column_is_described_by_its_values() -> None:
    by_name = {column["name"]: column for column in profile.columns(ROWS)}
    assert by_name["city"] == {
        "name": "city",
        "type": {"logicalType": "string"},
        "null_share": 0.0,
        "unique": False,
        "examples": ["Bern", "Chur"],
        "personal": None,
    }
    assert by_name["mail"]["null_share"] == pytest.approx(0.3333)


def test_of_personal_data_no_example_is_shown() -> None:
    (mail,) = (column for column in profile.columns(ROWS) if column["name"] == "mail")
    assert mail["personal"] == {"what": "email address", "why": "values"}
    assert mail["examples"] == []


@pytest.mark.parametrize(
    ("name", "values", "what"),
    [
        ("contact", ["a@b.ch", "c@d.org", "unknown"], "email address"),
        ("x", ["192.168.0.1", "10.0.0.7"], "IP address"),
        ("x", ["CH93 0076 2011 6238 5295 7", "DE89370400440532013000"], "bank account"),
        ("x", ["4111 1111 1111 1111", "5500-0000-0000-0004"], "payment card"),
        ("x", ["+41 44 668 18 00", "0041446681800"], "phone number"),
        ("customerEmail", [], "email address"),
        ("first_name", ["Ann"], "name of a person"),
        ("DateOfBirth", [], "date of birth"),
        ("zip", [8000], "address"),
        ("IPAddress", [], "IP address"),
        # what only looks like it
        ("x", ["4111 1111 1111 1112"], None),
        ("x", ["CH93 0076 2011 6238 5295 8"], None),
        ("x", ["1.2.3", "7"], None),
        ("x", ["a@b.ch", "text", "text"], None),
        ("filename", ["a.txt"], None),
        ("name", ["screw"], None),
        ("zipped", [True], None),
        ("company", ["span"], None),
        ("x", [], None),
    ],
)
def test_personal_data_is_seen(name: str, values: list[Any], what: str | None) -> None:
    found = personal(name, values)
    assert (found.what if found else None) == what
