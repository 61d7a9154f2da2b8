"""The `rest` connector owes what every connector owes, for each kind of pagination, and reads what is new and nothing twice."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import pyarrow as pa
import pytest

from headrace.connector import Connector, Ranged, Stretch, Surroundings, opened
from headrace.connector.conformance import LOOPBACK, Conformance, Row, rows_of
from headrace.errors import Fatal, Transient
from services.ingest.connectors.rest.pagination import Link, Seen
from services.ingest.connectors.rest.settings import LinkPagination, RestSource
from tests.unit.ingest.rest_api import PAGE, Api, Reply, Request, served

ITEMS = "$.data.items"
KINDS: dict[str, dict[str, Any]] = {
    "none": {"records": "$", "pagination": {"type": "none"}},
    "page": {"records": ITEMS, "pagination": {"type": "page"}},
    "page_counted": {"records": ITEMS, "pagination": {"type": "page", "pages": "$.pages"}},
    "strict_page": {"records": ITEMS, "pagination": {"type": "page", "past_end": "not_found"}},
    "offset": {"records": f"{ITEMS}[*]", "pagination": {"type": "offset"}},
    "offset_counted": {"records": ITEMS, "pagination": {"type": "offset", "total": "$.total"}},
    "cursor": {"records": ITEMS, "pagination": {"type": "cursor", "path": "$.next"}},
    "cursor_header": {"records": ITEMS, "pagination": {"type": "cursor", "header": "X-Next"}},
    "link": {"records": ITEMS, "pagination": {"type": "link"}},
    "link_in_body": {"records": ITEMS, "pagination": {"type": "link", "path": "$.next"}},
}
PATHS = {"page_counted": "page", "offset_counted": "offset", "cursor_header": "cursor", "link_in_body": "link"}
INCREMENTAL = {"field": "at", "param": "since"}


def numbered(first: int, count: int) -> list[Row]:
    """Rows of which five at a time share a cursor; what is nested stays so."""
    return [{"id": n, "name": f"n{n}", "at": n // 5, "tags": [{"n": n}]} for n in range(first, first + count)]


class Source:
    """An API of 40 rows."""

    def __init__(self, api: Api, kind: str, incremental: bool = False) -> None:
        self.api = api
        self.kind = kind
        self.incremental = incremental
        self.rows: list[Row] = []
        self._grow()
        self._grow()

    def _grow(self) -> list[Row]:
        rows = numbered(len(self.rows), 20)
        self.rows += rows
        self.api.rows += rows
        return rows

    def add(self) -> Sequence[Row]:
        """See `SourceUnderTest.add`: a source that is not incremental has ended."""
        rows = self._grow()
        return rows if self.incremental else []

    def settings(self, **more: Any) -> RestSource:
        url = f"{self.api.url}/{PATHS.get(self.kind, self.kind)}"
        settings = {"type": "rest", "url": url, "key": ["id"], **KINDS[self.kind]}
        if self.incremental:
            settings["incremental"] = INCREMENTAL
        return RestSource.model_validate({**settings, **more})

    def connect(self, surroundings: Surroundings) -> Connector:
        """See `SourceUnderTest.connect`."""
        return opened(self.settings(), surroundings)

    def unreachable(self) -> Connector:
        """See `SourceUnderTest.unreachable`."""
        return opened(self.settings(url="http://127.0.0.1:1/none"), Surroundings("a.b", targets=LOOPBACK))


@pytest.fixture
def api() -> Iterator[Api]:
    with served(Api()) as found:
        yield found


@pytest.mark.parametrize("kind", ["none", "page", "offset", "cursor", "link"])
class TestOnce(Conformance):
    @pytest.fixture
    def source(self, api: Api, kind: str) -> Source:
        return Source(api, kind)


@pytest.mark.parametrize("kind", ["page", "cursor", "link"])
class TestIncremental(Conformance):
    @pytest.fixture
    def source(self, api: Api, kind: str) -> Source:
        return Source(api, kind, incremental=True)


def connector(api: Api, kind: str = "page", surroundings: Surroundings | None = None, **settings: Any) -> Connector:
    url = f"{api.url}/{PATHS.get(kind, kind)}"
    source = RestSource.model_validate({"type": "rest", "url": url, **KINDS[kind], **settings})
    return opened(source, replace(surroundings or Surroundings("a.b"), targets=LOOPBACK))


def read(found: Connector, position: str | None = None) -> tuple[list[Row], str | None]:
    """What is read, and how far that is."""
    rows: list[Row] = []
    reached = position
    for fetched, reached in found.read(position):  # noqa: B007  # the last one counts
        rows += fetched.rows.to_pylist()
    return rows, reached


def ids(found: Connector, position: str | None = None) -> tuple[list[int], str | None]:
    rows, position = read(found, position)
    return [int(row["id"]) for row in rows], position


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, PAGE, 2 * PAGE + 1])
def test_every_way_to_the_end_has_every_row(api: Api, kind: str, count: int) -> None:
    api.rows = numbered(0, count)
    assert ids(connector(api, kind))[0] == [*range(count)]


def test_a_source_that_is_read_once_is_not_asked_again(api: Api) -> None:
    api.rows = numbered(0, 20)
    _, position = read(connector(api))
    asked = len(api.requests)
    api.rows += numbered(20, 5)
    assert read(connector(api), position) == ([], position)
    assert len(api.requests) == asked


@pytest.mark.parametrize("kind", ["page", "cursor"])
def test_equal_cursors_at_the_border_are_neither_lost_nor_repeated(api: Api, kind: str) -> None:
    api.rows = numbered(0, 18)  # the last three have the cursor 3
    first, position = ids(connector(api, kind, incremental=INCREMENTAL))
    api.rows = [{**row, "at": 3} for row in numbered(30, 1)] + api.rows + numbered(18, 4)
    second, position = ids(connector(api, kind, incremental=INCREMENTAL), position)
    assert first == [*range(18)]
    assert sorted(second) == [18, 19, 20, 21, 30]
    assert ids(connector(api, kind, incremental=INCREMENTAL), position) == ([], position)


def test_the_control_without_fingerprints_the_border_is_read_again(api: Api) -> None:
    api.rows = numbered(0, 18)
    _, position = ids(connector(api, incremental=INCREMENTAL))
    without = json.dumps({name: value for name, value in json.loads(position or "").items() if name != "left"})
    assert ids(connector(api, incremental=INCREMENTAL), without)[0] == [15, 16, 17]


def test_records_that_are_the_same_are_counted(api: Api) -> None:
    twin = numbered(0, 1)[0]
    api.rows = [twin, twin]
    rows, position = read(connector(api, incremental=INCREMENTAL))
    assert rows == [twin, twin]
    api.rows += [twin]
    assert read(connector(api, incremental=INCREMENTAL), position)[0] == [twin]


def test_the_order_of_records_does_not_matter(api: Api) -> None:
    api.rows = numbered(0, 30)[::-1]
    first, position = ids(connector(api, incremental=INCREMENTAL))
    api.rows = [*numbered(30, 3)[::-1], *api.rows]
    second, _ = ids(connector(api, incremental=INCREMENTAL), position)
    assert (first, second) == ([*range(29, -1, -1)], [32, 31, 30])


def test_a_server_that_gives_more_than_it_was_asked_for_repeats_nothing(api: Api) -> None:
    api.at_least = lambda row, since: True
    api.rows = numbered(0, 20)
    _, position = ids(connector(api, incremental=INCREMENTAL))
    api.rows += numbered(20, 5)
    assert ids(connector(api, incremental=INCREMENTAL), position)[0] == [20, 21, 22, 23, 24]


def test_a_server_that_leaves_the_value_itself_out_loses_nothing_later(api: Api) -> None:
    api.at_least = lambda row, since: row["at"] > int(since)
    api.rows = numbered(0, 20)
    _, position = ids(connector(api, incremental=INCREMENTAL))
    assert ids(connector(api, incremental=INCREMENTAL), position) == ([], position)
    api.rows += numbered(20, 5)
    assert ids(connector(api, incremental=INCREMENTAL), position)[0] == [20, 21, 22, 23, 24]


def test_a_read_that_broke_off_goes_on_with_the_same_question(api: Api) -> None:
    api.rows = numbered(0, 20)[::-1]
    steps = connector(api, incremental=INCREMENTAL).read(None)
    fetched, position = next(steps)
    api.rows = api.rows + numbered(40, 2)
    rest, reached = ids(connector(api, incremental=INCREMENTAL), position)
    assert [*fetched.rows.column("id").to_pylist(), *rest] == [*range(19, -1, -1), 40, 41]
    assert "since" not in api.requests[-1].query
    assert ids(connector(api, incremental=INCREMENTAL), reached)[0] == []
    assert api.requests[-1].query["since"] == "8"


@pytest.mark.parametrize(
    ("values", "largest"),
    [
        (["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.500Z", "2023-12-31T23:00:00-05:00"], 2),
        (["9", "10", "2"], 1),
        ([1.25, 10, 9.5], 1),
        (["b", "a", "10"], 0),
        (["507f1f77bcf86cd799439011", "507199777777777777439012"], 0),
    ],
    ids=["instants", "numbers as text", "numbers", "texts", "texts of which one is all digits"],
)
def test_cursors_are_compared_as_what_they_are(api: Api, values: list[Any], largest: int) -> None:
    api.at_least = lambda row, since: True
    api.rows = [{"id": number, "at": value} for number, value in enumerate(values)]
    found, position = ids(connector(api, incremental=INCREMENTAL))
    assert found == [*range(len(values))]
    assert ids(connector(api, incremental=INCREMENTAL), position)[0] == []
    assert api.requests[-1].query["since"] == str(values[largest])


def test_records_without_a_cursor_are_set_aside_once(api: Api) -> None:
    api.at_least = lambda row, since: True
    api.rows = [*numbered(0, 3), {"id": 3, "at": None}, {"id": 4}]
    ((fetched, position),) = list(connector(api, "page_counted", incremental=INCREMENTAL).read(None))
    assert [row.reason for row in fetched.rejected] == ["wrong_type", "wrong_type"]
    assert [row.column for row in fetched.rejected] == ["at", "at"]
    assert fetched.rows.num_rows == 3
    assert list(connector(api, "page_counted", incremental=INCREMENTAL).read(position)) == []


def test_too_many_records_of_one_cursor_are_an_error(api: Api) -> None:
    api.rows = [{"id": n, "at": 1} for n in range(10_001)]
    with pytest.raises(Fatal, match="choose a finer"):
        read(connector(api, "none", incremental=INCREMENTAL))


def test_a_start_is_what_is_asked_first(api: Api) -> None:
    api.rows = numbered(0, 20)
    assert ids(connector(api, incremental={**INCREMENTAL, "start": 3}))[0] == [15, 16, 17, 18, 19]
    assert api.requests[0].query["since"] == "3"


def test_a_page_that_changed_while_it_was_read_is_read_from_its_start(api: Api) -> None:
    api.rows = numbered(0, 20)
    small = Surroundings("a.b", batch_rows=5)
    _, position = next(connector(api, "none", small).read(None))
    assert ids(connector(api, "none", small), position)[0] == [*range(5, 20)]
    api.rows = numbered(1, 20)
    assert ids(connector(api, "none", small), position)[0] == [*range(1, 21)]


def test_a_source_without_rows_is_asked_until_it_has_some(api: Api) -> None:
    assert list(connector(api).read(None)) == []
    api.rows = numbered(0, 3)
    assert ids(connector(api))[0] == [0, 1, 2]


# --- records ----------------------------------------------------------------------------------------------------------


def body(*records: bytes) -> Reply:
    return Reply(b'{"data": {"items": [' + b",".join(records) + b']}, "next": null}')


@pytest.mark.parametrize(
    ("bad", "reason", "said"),
    [
        (b'{"id": "x", "at": 2}', "wrong_type", "is not of type"),
        (b'{"id": 2, "id": 3}', "unreadable_row", "given twice"),
        (b'{"id": NaN}', "unreadable_row", "NaN is not a JSON number"),
        (b'{"id": 2, "name": "\xff"}', "unreadable_row", "not UTF-8"),
        (b'{"id": 2, "name": "\\ud800"}', "unreadable_row", "surrogate"),
        (b'{"id": 2, "name": ' + b"[" * 200 + b"]" * 200 + b"}", "unreadable_row", "deeper"),
        (b"7", "unreadable_row", "not a JSON object"),
        (b'{"id": 2, "name": "' + b"x" * 2000 + b'"}', "too_large", "the cap is 1000"),
    ],
)
def test_a_bad_record_is_set_aside_alone(api: Api, bad: bytes, reason: str, said: str) -> None:
    good = [b'{"id": 0, "name": "a", "at": 1}', b'{"id": 1, "name": "b", "at": 1}', b'{"id": 2, "name": "c", "at": 2}']
    api.first = [body(*good), body(good[0], bad, good[2])]
    pinned = next(connector(api, "cursor").read(None))[0].rows.schema
    found = connector(api, "cursor", Surroundings("a.b", schema=pinned), max_record_bytes=1000)
    ((fetched, _),) = list(found.read(None))
    assert fetched.rows.column("id").to_pylist() == [0, 2]
    (row,) = fetched.rejected
    assert (row.reason, row.source) == (reason, f"{api.url}/cursor {{}}, record 2")
    assert said in row.detail
    if reason != "too_large":
        assert row.raw == bad.replace(b'": ', b'":').replace(b", ", b",")


def test_numbers_are_exact_and_what_is_nested_stays_so(api: Api) -> None:
    api.first = [
        body(b'{"id": 12345678901234567890, "n": {"a": [1, null], "b": 1.10}, "_x": true, "m": 9007199254740993}')
    ]
    rows, _ = read(connector(api, "cursor"))
    assert [*rows[0]] == ["id", "n", "x_", "m"]
    assert rows[0]["m"] == 9007199254740993
    assert rows[0]["n"] == {"a": [1, None], "b": 1.1}
    assert int(rows[0]["id"]) == 12345678901234567890


def test_a_field_that_comes_later_becomes_a_column(api: Api) -> None:
    api.rows = [*numbered(0, PAGE), {**numbered(8, 1)[0], "new": 1.5}]
    (first, _), (second, _) = list(connector(api, "cursor").read(None))
    assert (first.rows.schema.names[-1], second.rows.schema.names[-1]) == ("tags", "new")


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("$", {"id": 1, "name": "a"}),
        ("$.data[*].attributes", {"data": [{"attributes": {"id": 1, "name": "a"}}]}),
        ("$.groups[*].rows", {"groups": [{"rows": []}, {"rows": [{"id": 1, "name": "a"}]}]}),
        ("$.rows[?(@.kind == 'x')].value", {"rows": [{"kind": "y"}, {"kind": "x", "value": {"id": 1, "name": "a"}}]}),
    ],
)
def test_records_are_where_the_path_leads(api: Api, path: str, document: Any) -> None:
    api.first = [Reply(document)]
    assert read(connector(api, "none", records=path))[0] == [{"id": 1, "name": "a"}]


def test_columns_are_declared_or_new_ones_refused(api: Api) -> None:
    api.first = [Reply([{"id": "1", "extra": 1}, {"id": "2"}])]
    surroundings = Surroundings("a.b", declared={"id": pa.string()}, declares_all=True, evolution="quarantine")
    ((fetched, _),) = list(connector(api, "none", surroundings).read(None))
    assert fetched.rows.to_pylist() == [{"id": "2"}]
    assert [row.reason for row in fetched.rejected] == ["unknown_field"]


def test_a_body_is_posted_with_every_page(api: Api) -> None:
    api.rows = numbered(0, 20)
    assert (
        len(ids(connector(api, method="POST", body={"query": {"all": True}}, params={"deep": True, "n": 3}))[0]) == 20
    )
    assert {request.method for request in api.requests} == {"POST"}
    assert {request.body for request in api.requests} == {b'{"query": {"all": true}}'}
    assert api.requests[0].query == {"deep": "true", "n": "3", "page": "1"}


# --- answers that are wrong -------------------------------------------------------------------------------------------


def test_a_cursor_that_leads_back_is_an_error_and_no_row_comes_twice(api: Api) -> None:
    api.first = [Reply({"data": {"items": [{"id": n}]}, "next": token}) for n, token in enumerate(["a", "b", "a"])]
    found: list[int] = []
    steps = connector(api, "cursor").read(None)
    with pytest.raises(Fatal, match="the pages go in a circle"):
        found.extend(fetched.rows.column("id")[0].as_py() for fetched, _ in steps)
    assert found == [0, 1]


@pytest.mark.parametrize("kind", ["page", "offset"])
def test_a_server_that_does_not_know_the_parameter_is_found_out(api: Api, kind: str) -> None:
    api.rows = numbered(0, 20)
    wrong = {**KINDS[kind]["pagination"], "param": "p"}
    with pytest.raises(Fatal, match=r"does not know the parameter 'p'.*source.pagination.param"):
        read(connector(api, kind, pagination=wrong))


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            Reply(b"<html><title>Sign in</title></html>", headers={"Content-Type": "text/html"}),
            "no JSON.*text/html.*Sign in",
        ),
        (Reply({"rows": []}), r"nothing at \$.data.items; it has the fields rows"),
        (Reply(b'{"data": '), "no JSON"),
        (Reply(b"[" * 100_000), "nested too deeply"),
        (Reply([{"x": "y" * 3000}]), "more than 2000 bytes"),
        (Reply(b"", headers={"Content-Encoding": "br"}), "content coding 'br'"),
        (Reply({"data": {"items": [{"id": 1}]}, "next": {"a": 1}}), "no token"),
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error_that_says_why(api: Api, reply: Reply, said: str) -> None:
    api.first = [reply]
    with pytest.raises(Fatal, match=said):
        read(connector(api, "cursor", max_answer_bytes=2000 if "2000" in said else 1_000_000))


def test_a_link_to_another_host_is_not_followed(api: Api) -> None:
    api.first = [Reply({"data": {"items": [{"id": 1}]}, "next": "http://127.0.0.2:9/rows?page=2"})]
    with pytest.raises(Fatal, match="leads to another host"):
        read(connector(api, "link_in_body"))


def test_an_answer_that_is_cut_off_can_be_read_later(api: Api) -> None:
    api.first = [Reply(b'{"data": {"items": []}', headers={"Content-Length": "1000"})]
    with pytest.raises(Transient, match="cannot be reached"):
        read(connector(api, "cursor"))


def test_the_first_step_that_fails_names_its_setting(api: Api) -> None:
    api.rows = numbered(0, 5)

    def last(**settings: Any) -> tuple[str, bool, str | None]:
        step = list(connector(api, **settings).check())[-1]
        return step.name, step.ok, step.field

    assert last() == ("infer", True, None)
    assert last(url="http://no-such-host.invalid/x") == ("resolve", False, "source.url")
    assert last(url="http://127.0.0.1:1/x") == ("connect", False, "source.url")
    assert last(url=f"{api.url}/nothing") == ("read", False, "source.url")
    assert last(records="$.rows") == ("read", False, "source.records")
    assert last(key=["nr"]) == ("infer", False, "source.key")
    assert last(incremental={"field": "then", "param": "since"}) == ("infer", False, "source.incremental.field")
    api.allows = lambda _: False
    assert last() == ("authenticate", False, "source.auth")


def test_the_steps_of_a_check(api: Api) -> None:
    api.rows = numbered(0, 5)
    steps = list(connector(api, key=["id"], incremental=INCREMENTAL).check())
    assert [step.name for step in steps] == ["resolve", "connect", "authenticate", "read", "infer"]
    (stream,) = connector(api, key=["id"], incremental=INCREMENTAL).discover()
    assert (stream.name, stream.keys, stream.cursors) == ("/page", ("id",), ("at",))


def test_the_link_of_a_server_behind_a_proxy_keeps_https() -> None:
    pages = Link(LinkPagination(type="link", path="$.next"))
    base = httpx.URL("https://api.example.com/rows")
    place = pages.next(base, {}, Seen({"next": "http://api.example.com/rows?page=2"}, {}, 1))
    assert place == {"next": "/rows?page=2"}
    assert str(pages.url(base, place)) == "https://api.example.com/rows?page=2"


def test_rows_of_a_request_keep_their_order(api: Api) -> None:
    api.rows = numbered(0, 20)
    assert rows_of(connector(api, "link").read(None)) == api.rows
    assert isinstance(api.requests[0], Request)


DATED: dict[str, Any] = {"incremental": {"field": "day", "param": "since"}}


def dated(api: Api, *days: str) -> None:
    api.rows += [{"id": number, "day": day} for number, day in enumerate(days)]
    api.at_least = lambda _, __: True  # what does not belong to the stretch is the connector's to leave out


def ranged(found: Connector, since: str, until: str, position: str | None = None) -> list[tuple[list[int], str]]:
    assert isinstance(found, Ranged)
    stretch = Stretch(datetime.fromisoformat(since), datetime.fromisoformat(until))
    steps = found.read_range(stretch, position)
    return [([row["id"] for row in fetched.rows.to_pylist()], at) for fetched, at in steps]


def test_records_of_a_stretch_of_time_are_read_again_and_no_others(api: Api) -> None:
    days = (
        "2025-12-31",
        "2026-01-01T00:00:00Z",
        "2026-02-01T00:00:00Z",
        "2026-01-31T23:59:59Z",
        "2026-01-10T00:00:00+02:00",
    )
    dated(api, *days)
    found = connector(api, **DATED)
    _, position = read(found)
    assert position is not None
    steps = ranged(found, "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00")
    assert sorted(number for rows, _ in steps for number in rows) == [1, 3, 4]
    assert ids(found, position)[0] == [], "the reading of the source is where it was"
    after = ranged(connector(api, **DATED), "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00", steps[-1][1])
    assert after == [], "the last page was read: it is not begun anew, whatever has come since"


def test_pages_without_a_row_of_the_stretch_are_steps_too(api: Api) -> None:
    dated(api, "2026-01-10T00:00:00Z", *(["2026-03-01T00:00:00Z"] * 40))
    steps = ranged(connector(api, **DATED), "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00")
    assert len(steps) == len({at for _, at in steps}) > 2, "whoever reads it by turns can stop behind each page"
    assert [number for rows, _ in steps for number in rows] == [0]


def test_a_cursor_that_tells_no_time_is_not_taken_for_one(api: Api) -> None:
    api.rows += numbered(0, 5)
    api.at_least = lambda _, __: True
    with pytest.raises(Fatal, match="does not hold dates or times"):
        ranged(connector(api, incremental=INCREMENTAL), "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00")
    with pytest.raises(Fatal, match="without `incremental`"):
        ranged(connector(api), "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00")
