"""The `airbyte` connector owes what every connector owes, runs no code of a manifest, and reaches only what may be reached."""

import json
import logging
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from pydantic import SecretStr

from headrace.connector import Connector, Surroundings, Targets, opened
from headrace.connector.conformance import LOOPBACK, Conformance, Row
from headrace.connector.http import Clock, Limits
from headrace.connector.targets import Address
from headrace.errors import Fatal, Transient
from services.ingest.connectors.airbyte.columns import columns_of
from services.ingest.connectors.airbyte.settings import AirbyteSource
from tests.unit.ingest.certificates import self_signed
from tests.unit.ingest.rest_api import PAGE, Api, Reply, Request, served

if find_spec("airbyte_cdk") is None:
    pytest.skip(
        "airbyte-cdk is not installed beside the development tools (decision 17): run `make test-airbyte`",
        allow_module_level=True,
    )

COLUMNS = {"id": {"type": "integer"}, "name": {"type": ["null", "string"]}, "at": {"type": "integer"}}
SCHEMA = columns_of({"properties": COLUMNS})


def numbered(first: int, count: int) -> list[Row]:
    """Rows of which five at a time share a cursor."""
    return [{"id": n, "name": f"n{n}", "at": n // 5} for n in range(first, first + count)]


def manifest(
    url: str = "{{ config['url'] }}", *, incremental: bool = False, step: int = 0, **more: Any
) -> dict[str, Any]:
    """A manifest of one stream, `items`, read page by page; with `step`, in windows of so many seconds."""
    stream: dict[str, Any] = {
        "type": "DeclarativeStream",
        "name": "items",
        "primary_key": ["id"],
        "schema_loader": {"type": "InlineSchemaLoader", "schema": {"type": "object", "properties": COLUMNS}},
        "retriever": {
            "type": "SimpleRetriever",
            "requester": {"type": "HttpRequester", "url": f"{url}/page", "http_method": "GET", **more},
            "record_selector": {
                "type": "RecordSelector",
                "extractor": {"type": "DpathExtractor", "field_path": ["data", "items"]},
            },
            "paginator": {
                "type": "DefaultPaginator",
                "page_token_option": {
                    "type": "RequestOption",
                    "inject_into": "request_parameter",
                    "field_name": "page",
                },
                "pagination_strategy": {"type": "PageIncrement", "page_size": PAGE, "start_from_page": 1},
            },
        },
    }
    if incremental:
        stream["incremental_sync"] = {
            "type": "DatetimeBasedCursor",
            "cursor_field": "at",
            "datetime_format": "%s",
            "start_datetime": {"type": "MinMaxDatetime", "datetime": "0", "datetime_format": "%s"},
            "end_datetime": {"type": "MinMaxDatetime", "datetime": "20", "datetime_format": "%s"},
            "start_time_option": {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "since"},
            "end_time_option": {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "until"},
            **({"step": f"PT{step}S", "cursor_granularity": "PT1S"} if step else {}),
        }
    spec = {
        "type": "Spec",
        "connection_specification": {
            "type": "object",
            "properties": {"url": {"type": "string"}, "key": {"type": "string", "airbyte_secret": True}},
        },
    }
    return {
        "version": "7.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["items"]},
        "streams": [stream],
        "spec": spec,
    }


class Place:
    """A folder with a manifest, beside an API."""

    def __init__(self, folder: Path, api: Api) -> None:
        self.folder = folder
        self.api = api
        api.at_least = lambda row, since: bool(row["at"] >= int(since))
        api.more["/page"] = self._page

    def _page(self, request: Request) -> Reply:
        until = int(request.query.get("until", 1 << 40))
        rows = [row for row in self.api.rows if int(request.query.get("since", 0)) <= row["at"] <= until]
        return self.api._page(rows, request)

    def write(self, content: Any) -> None:
        (self.folder / "manifest.yaml").write_text(yaml.safe_dump(content))

    def connect(
        self, surroundings: Surroundings | None = None, clock: Clock | None = None, **settings: Any
    ) -> Connector:
        config = {"url": self.api.url, **settings.pop("config", {})}
        source = AirbyteSource.model_validate(
            {"type": "airbyte", "manifest": "manifest.yaml", "stream": "items", "config": config, **settings}
        )
        around = replace(surroundings or Surroundings("a.b", targets=LOOPBACK), folder=self.folder)
        if clock is None:
            return opened(source, around)
        from services.ingest.connectors.airbyte.connector import AirbyteConnector

        return AirbyteConnector(source, around, clock)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with served(Api()) as api:
        yield Place(tmp_path, api)


class Source:
    """An API of 40 rows."""

    def __init__(self, place: Place, incremental: bool, step: int = 0) -> None:
        self._place = place
        self._incremental = incremental
        self.rows: list[Row] = []
        place.write(manifest(incremental=incremental, step=step))
        self._grow()
        self._grow()

    def _grow(self) -> list[Row]:
        rows = numbered(len(self.rows), 20)
        self.rows += rows
        self._place.api.rows += rows
        return rows

    def add(self) -> Sequence[Row]:
        """See `SourceUnderTest.add`: a stream without a cursor has ended."""
        rows = self._grow()
        return rows if self._incremental else []

    def connect(self, surroundings: Surroundings) -> Connector:
        """See `SourceUnderTest.connect`."""
        return self._place.connect(surroundings)

    def unreachable(self) -> Connector:
        """See `SourceUnderTest.unreachable`."""
        return self._place.connect(config={"url": "http://127.0.0.1:1"})


class TestOnce(Conformance):
    @pytest.fixture
    def source(self, place: Place) -> Source:
        return Source(place, incremental=False)


class TestIncremental(Conformance):
    @pytest.fixture
    def source(self, place: Place) -> Source:
        return Source(place, incremental=True, step=3)


def ids(found: Connector, position: str | None = None) -> tuple[list[int], str | None]:
    rows: list[int] = []
    reached = position
    for fetched, reached in found.read(position):  # noqa: B007  # the last one counts
        assert fetched.rejected == ()
        rows += [int(row["id"]) for row in fetched.rows.to_pylist()]
    return rows, reached


def late() -> Clock:
    """Every row is due when it comes, and no wait takes any time."""
    ticks = count(0, 10)
    return Clock(monotonic=lambda: float(next(ticks)), sleep=lambda _: None)


def resumes_exactly(place: Place, rows: Sequence[int], **settings: Any) -> set[str]:
    """Read on after each step by another connector. Returns the states that were met on the way."""
    steps = list(place.connect(clock=late(), **settings).read(None))
    assert [number for fetched, _ in steps for number in fetched.rows["id"].to_pylist()] == list(rows)
    reached = 0
    for fetched, position in steps:
        reached += fetched.rows.num_rows
        schema = fetched.rows.schema
        around = Surroundings("a.b", schema, targets=LOOPBACK)
        assert ids(place.connect(around, late(), **settings), position)[0] == list(rows[reached:]), position
    return {json.dumps(json.loads(position).get("state")) for _, position in steps}


def test_a_state_between_slices_loses_and_repeats_nothing(place: Place) -> None:
    place.write(manifest(incremental=True, step=2))
    place.api.rows = numbered(0, 18)
    states = resumes_exactly(place, range(18))
    assert states == {"null", '{"at": "1"}', '{"at": "3"}'}, "none, those behind slices that had rows"


def test_rows_in_another_order_are_read_again_and_none_is_lost(place: Place) -> None:
    place.write(manifest())
    place.api.rows = numbered(0, 20)
    position = list(place.connect(clock=late()).read(None))[9][1]
    assert ids(place.connect(), position)[0] == [*range(10, 20)], "the control: in the same order, none comes twice"
    place.api.rows.reverse()
    assert sorted(ids(place.connect(), position)[0]) == [*range(20)]
    place.api.rows = place.api.rows[:5]
    assert len(ids(place.connect(), position)[0]) == 5, "fewer than were read"


def test_a_row_with_the_last_cursor_that_comes_late_is_read_and_the_others_are_not_again(place: Place) -> None:
    place.write(manifest(incremental=True, step=3))
    place.api.rows = numbered(0, 18)
    _, position = ids(place.connect())
    place.api.rows = [{"id": 99, "name": "late", "at": 3}, *place.api.rows]
    assert ids(place.connect(), position)[0] == [99]
    _, position = ids(place.connect(), position)
    assert list(place.connect(Surroundings("a.b", SCHEMA, targets=LOOPBACK)).read(position)) == [], "nor is that told"


def test_a_state_of_airbyte_is_where_it_begins(place: Place) -> None:
    place.write(manifest(incremental=True))
    place.api.rows = numbered(0, 40)
    assert ids(place.connect(state={"at": "6"}))[0] == [*range(30, 40)]


def with_parents(**more: Any) -> dict[str, Any]:
    """A manifest whose stream `items` is read for each parent, each with a cursor of its own."""
    found = manifest(incremental=True, **more)
    (items,) = found["streams"]
    parents = json.loads(json.dumps({key: value for key, value in items.items() if key != "incremental_sync"}))
    parents["name"] = "parents"
    parents["retriever"]["requester"]["url"] = "{{ config['url'] }}/parents"
    items["retriever"]["requester"]["request_parameters"] = {"parent": "{{ stream_partition['parent'] }}"}
    items["retriever"]["partition_router"] = {
        "type": "SubstreamPartitionRouter",
        "parent_stream_configs": [
            {"type": "ParentStreamConfig", "parent_key": "id", "partition_field": "parent", "stream": parents}
        ],
    }
    return found


def test_each_parent_has_a_cursor_and_a_new_one_is_seen(place: Place) -> None:
    place.write(with_parents())
    parents = [{"id": 1}, {"id": 2}]
    place.api.more["/parents"] = lambda request: Reply(
        {"data": {"items": parents if request.query.get("page", "1") == "1" else []}}
    )

    def children(request: Request) -> Reply:
        rows = [row for row in place.api.rows if row["parent"] == int(request.query["parent"])]
        return place.api._page([row for row in rows if row["at"] >= int(request.query["since"])], request)

    place.api.more["/page"] = children
    place.api.rows = [{**row, "parent": 1 + row["id"] // 10} for row in numbered(0, 30)]
    assert len(resumes_exactly(place, range(20))) > 2
    connector = place.connect()
    _, position = ids(connector)
    parents.append({"id": 3})
    place.api.rows.append({"id": 50, "name": "n", "at": 3, "parent": 2})
    assert ids(connector, position)[0] == [50, *range(20, 30)], "what the server answered before is not kept"


def test_it_leaves_no_thread(place: Place) -> None:
    place.write(manifest(incremental=True, step=3))
    place.api.rows = numbered(0, 40)
    before = set(threading.enumerate())
    ids(place.connect())
    assert {thread for thread in set(threading.enumerate()) - before if "process_request" not in thread.name} == set()


def failed(connector: Connector) -> str:
    *_, last = connector.check()
    assert not last.ok
    return last.message


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "127.0.0.1"])
def test_what_may_not_be_reached_is_refused(place: Place, host: str) -> None:
    place.write(manifest(f"http://{host}:1"))
    assert host in failed(place.connect(Surroundings("a.b")))
    with pytest.raises(Fatal, match=host):
        ids(place.connect(Surroundings("a.b")))


def test_a_redirect_and_a_token_endpoint_are_checked_too(place: Place) -> None:
    place.api.rows = numbered(0, 3)
    place.write(manifest())
    assert ids(place.connect())[0] == [0, 1, 2], "the control"
    place.api.first = [Reply(status=302, headers={"Location": "http://169.254.169.254/latest"})]
    assert "link-local" in failed(place.connect())
    oauth = {
        "type": "OAuthAuthenticator",
        "token_refresh_endpoint": "http://169.254.169.254/token",
        "client_id": "c",
        "client_secret": "{{ config['key'] }}",
        "grant_type": "client_credentials",
    }
    place.write(manifest(authenticator=oauth))
    around = Surroundings("a.b", targets=LOOPBACK, secret=lambda _: SecretStr("s3cret"))
    assert "link-local" in failed(place.connect(around, config={"key": "secret://key"}))
    assert len(place.api.requests) == 2, "a page, and what redirected"


def test_a_name_is_looked_up_once_and_what_it_led_to_is_connected_to(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(manifest(error_handler={"type": "DefaultErrorHandler", "max_retries": 0}))
    place.api.rows = numbered(0, 3)
    url = place.api.url.replace("127.0.0.1", "shop.test")
    asked: list[str] = []
    usual = socket.getaddrinfo

    def rebound(host: str, *more: Any, **others: Any) -> Any:
        asked.append(host)
        address = "127.0.0.1" if asked.count("shop.test") == 1 else "169.254.169.254"
        return usual(address if host == "shop.test" else host, *more, **others)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    assert ids(place.connect(config={"url": url}))[0] == [0, 1, 2]
    assert asked.count("shop.test") == 1

    asked.clear()
    port = int(place.api.url.rpartition(":")[2])
    elsewhere = lambda _: socket.create_connection(("127.0.0.1", port))  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **others: usual("127.0.0.1", *more, **others))
    monkeypatch.setattr("urllib3.connection.HTTPConnection._new_conn", elsewhere)
    assert ids(place.connect(config={"url": url}))[0] == [0, 1, 2], "the control"
    before = len(place.api.requests)
    monkeypatch.setattr(Targets, "resolve", lambda *_: ip_address("127.0.0.2"))
    with pytest.raises(Fatal, match=r"looked up as 127\.0\.0\.2, but urllib3 connected to 127\.0\.0\.1"):
        ids(place.connect(config={"url": url}))
    assert len(place.api.requests) == before, "nothing was asked there"


def test_datasets_at_once_each_have_their_own_guard(place: Place) -> None:
    asked, looked, goes_on = threading.Event(), threading.Event(), threading.Event()

    class Late(Targets):
        def resolve(self, host: str, port: int) -> Address:
            looked.set()
            assert goes_on.wait(60)
            return super().resolve(host, port)

    def page(request: Request) -> Reply:
        if "page" not in request.query:
            asked.set()
            assert looked.wait(60)
            return Reply(status=302, headers={"Location": f"{place.api.url}/page?page=1"})
        return place._page(request)

    place.write(manifest())
    place.api.rows = numbered(0, 20)
    place.api.more["/page"] = page
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(ids, place.connect())
        assert asked.wait(60)
        other = threads.submit(ids, place.connect(Surroundings("c.d", targets=Late())))
        try:
            assert one.result(60)[0] == [*range(20)], (
                "what redirected is followed while the other one looks up the host"
            )
        finally:
            goes_on.set()
        with pytest.raises(Fatal, match="private network"):
            other.result(60)


def test_what_the_library_asks_outside_of_the_guard_fails(place: Place) -> None:
    place.write(manifest())
    assert ids(place.connect())[0] == [], "the control"
    from airbyte_cdk.sources.streams.call_rate import APIBudget, LimiterSession

    with pytest.raises(Fatal, match="outside of the guard"):
        LimiterSession(api_budget=APIBudget(policies=[])).get(place.api.url)


def test_another_host_gets_no_credential(place: Place) -> None:
    place.write(manifest(request_headers={"X-Key": "{{ config['key'] }}"}))
    around = Surroundings("a.b", targets=LOOPBACK, secret=lambda _: SecretStr("s3cret"))
    with served(Api(numbered(0, 3))) as other:
        place.api.first = [Reply(status=302, headers={"Location": f"{other.url}/page"})]
        assert all(step.ok for step in place.connect(around, config={"key": "secret://key"}).check())
        assert "x-key" not in other.requests[0].headers
        assert place.api.requests[0].headers["x-key"] == "s3cret", "the control"


def test_others_use_requests_as_before(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write(manifest())
    place.api.rows = numbered(0, 3)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert ids(place.connect())[0] == [0, 1, 2], "no proxy of the environment"
    with pytest.raises(requests.exceptions.ProxyError):
        requests.get("http://example.org", timeout=5)
    monkeypatch.delenv("HTTP_PROXY")
    assert requests.get(f"{place.api.url}/none", timeout=5).json() == place.api.rows


@pytest.mark.parametrize(
    ("component", "said"),
    [
        ({"class_name": "os.system"}, "custom component at streams[0].retriever"),
        ({"type": "CustomRetriever"}, "custom component"),
        ({"type": "AsyncRetriever"}, "files"),
        ({"refresh_token_updater": {}}, "rest"),
    ],
)
def test_code_and_what_is_not_run_here_is_refused(place: Place, component: dict[str, Any], said: str) -> None:
    found = manifest()
    found["streams"][0]["retriever"].update(component)
    place.write(found)
    assert said in failed(place.connect())
    with pytest.raises(Fatal):
        ids(place.connect())


def test_what_is_refused_is_refused_behind_a_reference_too(place: Place) -> None:
    found = manifest()
    found["definitions"] = {"kind": "InlineSchemaLoader"}
    (stream,) = found["streams"]
    stream["schema_loader"]["type"] = "#/definitions/kind"
    place.write(found)
    assert all(step.ok for step in place.connect().check()), "the control"
    found["definitions"]["kind"] = "JsonFileSchemaLoader"
    stream["schema_loader"]["file_path"] = "/etc/hostname"
    place.write(found)
    assert "JsonFileSchemaLoader at schema_loader" in failed(place.connect())


def test_what_is_refused_is_refused_when_an_answer_names_it(place: Place) -> None:
    found = manifest()
    (stream,) = found.pop("streams")
    stream["schema_loader"]["file_path"] = "/etc/hostname"
    kinds = json.loads(json.dumps({name: part for name, part in stream["retriever"].items() if name != "paginator"}))
    kinds["requester"]["url"] = "{{ config['url'] }}/kinds"
    named = {"field_path": ["schema_loader", "type"], "value": "{{ components_values['kind'] }}"}
    resolver = {
        "type": "HttpComponentsResolver",
        "retriever": kinds,
        "components_mapping": [{"type": "ComponentMappingDefinition", **named}],
    }
    found["dynamic_streams"] = [
        {"type": "DynamicDeclarativeStream", "stream_template": stream, "components_resolver": resolver}
    ]
    place.write(found)
    place.api.rows = numbered(0, 3)
    answer = {"kind": "InlineSchemaLoader"}
    place.api.more["/kinds"] = lambda _: Reply({"data": {"items": [answer]}})
    assert ids(place.connect())[0] == [0, 1, 2], "the control"
    answer["kind"] = "JsonFileSchemaLoader"
    with pytest.raises(Fatal, match="JsonFileSchemaLoader at schema_loader"):
        ids(place.connect())


def test_code_allowed_by_the_environment_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write(manifest())
    assert all(step.ok for step in place.connect().check()), "the control"
    monkeypatch.setenv("AIRBYTE_ENABLE_UNSAFE_CODE", "true")
    assert "AIRBYTE_ENABLE_UNSAFE_CODE" in failed(place.connect())


def test_a_manifest_lies_in_the_folders_of_sources(place: Place) -> None:
    assert "HEADRACE_SOURCE_ROOTS" in failed(place.connect(manifest="/etc/passwd"))
    assert "correct source.manifest" in failed(place.connect(manifest="none.yaml"))


def test_a_credential_is_shown_nowhere(
    place: Place, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    place.write(
        manifest(request_parameters={"key": "{{ config['key'] }}"}, error_handler={"type": "DefaultErrorHandler"})
    )
    around = Surroundings("a.b", targets=LOOPBACK, secret=lambda _: SecretStr("s3/cret"))
    place.api.more["/page"] = lambda request: Reply({"message": f"not {request.query['key']}"}, 401)
    caplog.set_level(logging.DEBUG)
    found = place.connect(around, config={"key": "secret://key"})
    said = failed(found)
    assert "401" in said
    with pytest.raises(Fatal) as caught:
        ids(found)
    out, err = capfd.readouterr()
    for text in (said, str(caught.value), repr(caught.value.__cause__), caplog.text, out, err):
        assert "s3/cret" not in text
        assert "s3%2Fcret" not in text
    assert place.api.requests[-1].query["key"] == "s3/cret", "the control"


def test_a_token_is_asked_for_used_and_shown_nowhere(place: Place) -> None:
    oauth = {
        "type": "OAuthAuthenticator",
        "token_refresh_endpoint": "{{ config['url'] }}/token",
        "client_id": "c",
        "client_secret": "{{ config['key'] }}",
        "grant_type": "client_credentials",
    }
    said = {
        "type": "HttpResponseFilter",
        "http_codes": [403],
        "action": "FAIL",
        "error_message": "{{ response['is'] }}",
    }
    handler = {"type": "DefaultErrorHandler", "response_filters": [said]}
    place.write(manifest(authenticator=oauth, error_handler=handler))
    place.api.rows = numbered(0, 3)
    place.api.more["/token"] = lambda _: Reply({"access_token": "acc3ss", "expires_in": 3600})
    around = Surroundings("a.b", targets=LOOPBACK, secret=lambda _: SecretStr("s3cret"))
    found = place.connect(around, config={"key": "secret://key"})
    assert ids(found)[0] == [0, 1, 2]
    assert place.api.requests[0].form["client_secret"] == "s3cret"
    assert place.api.requests[1].headers["authorization"] == "Bearer acc3ss"
    echo = {"is": "sent acc3ss for s3cret"}
    place.api.more["/page"] = lambda _: Reply(echo, 403)
    with pytest.raises(Fatal, match=r"^sent \*+ for \*+"):
        ids(found)


def test_a_plain_credential_is_refused_by_the_spec(place: Place) -> None:
    place.write(manifest())
    said = failed(place.connect(config={"key": "hunter2"}))
    assert "source.config.key" in said
    assert "hunter2" not in said


def test_what_the_server_cannot_do_now_passes(place: Place) -> None:
    place.write(manifest(error_handler={"type": "DefaultErrorHandler", "max_retries": 0}))
    place.api.more["/page"] = lambda _: Reply({"message": "no"}, 500)
    with pytest.raises(Transient, match="500"):
        ids(place.connect())


def test_an_answer_that_is_no_json_is_not_taken_for_an_empty_one(place: Place) -> None:
    place.write(manifest())
    place.api.more["/page"] = lambda _: Reply(b"<html>Down for maintenance</html>")
    with pytest.raises(Transient, match="JSON"):
        ids(place.connect())
    place.api.more["/page"] = lambda _: Reply(b"")
    assert ids(place.connect())[0] == [], "the control"
    lines = manifest(decoder={"type": "JsonlDecoder"})
    lines["streams"][0]["retriever"]["decoder"] = {"type": "JsonlDecoder"}
    lines["streams"][0]["retriever"]["record_selector"]["extractor"]["field_path"] = []
    del lines["streams"][0]["retriever"]["paginator"]
    place.write(lines)
    place.api.more["/page"] = lambda _: Reply(b'{"id": 1}\n\n{"id": 2}\n')
    assert ids(place.connect())[0] == [1, 2]
    place.api.more["/page"] = lambda _: Reply(b'{"id": 1}\n{"id"')
    with pytest.raises(Transient):
        ids(place.connect())


def test_a_server_is_left_alone_for_as_long_as_it_asks(place: Place) -> None:
    place.write(manifest())
    place.api.rows = numbered(0, 20)
    waits: list[float] = []
    now = [0.0]
    clock = Clock(monotonic=lambda: now[0], sleep=waits.append)
    place.api.first = [Reply(status=429, headers={"Retry-After": "3"})]
    assert ids(place.connect(clock=clock))[0] == [*range(20)]
    assert waits == [3.0]

    found = place.connect(Surroundings("a.b", targets=LOOPBACK, batch_rows=5), clock)
    pages = iter([1, 2])

    def throttled(request: Request) -> Reply:
        return place._page(request) if next(pages, None) else Reply(status=429, headers={"Retry-After": "600"})

    usual, place.api.more["/page"] = place.api.more["/page"], throttled
    first, position = ids(found)
    assert (first, found.waiting) == ([*range(15)], True)
    assert ids(found, position)[0] == [], "nothing is asked meanwhile"
    place.api.more["/page"] = usual
    now[0] = 600.0
    assert ids(found, position)[0] == [*range(15, 20)]
    assert not found.waiting


def test_the_log_of_the_process_stays_as_it_is() -> None:
    code = """
import logging
from headrace.connector import Surroundings, opened
from headrace.contract.source import kinds
logging.basicConfig(format="ours %(message)s")
before = logging.root.handlers[:]
opened(kinds()["airbyte"].model_validate({"type": "airbyte", "manifest": "m.yaml", "stream": "s"}), Surroundings("a.b"))
assert logging.root.handlers == before
logging.warning("here")
from airbyte_cdk.logger import init_logger
init_logger("airbyte")
assert logging.root.handlers != before, "the control: what its import would do"
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "ours here\n")


def test_what_an_answer_has_beyond_its_schema_is_read_too(place: Place) -> None:
    place.write(manifest())
    place.api.rows = [{**row, "more": {"deep": [row["id"]]}} for row in numbered(0, 3)]
    ((fetched, _),) = place.connect().read(None)
    assert fetched.rows.to_pylist() == place.api.rows
    place.api.rows[1]["id"] = "one"
    ((fetched, _),) = place.connect().read(None)
    assert [(row.reason, row.column) for row in fetched.rejected] == [("wrong_type", "id")]
    assert fetched.rows["id"].to_pylist() == [0, 2]


def test_an_answer_is_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write(manifest())
    place.api.rows = numbered(0, 8)
    assert len(ids(place.connect())[0]) == 8, "the control"
    monkeypatch.setattr("services.ingest.connectors.airbyte.guard._LIMITS", Limits(most_bytes=100))
    with pytest.raises(Fatal, match="larger than 100 bytes"):
        ids(place.connect())
    monkeypatch.setattr("services.ingest.connectors.airbyte.guard._LIMITS", Limits(answer_s=0.0))
    with pytest.raises(Transient, match="not whole"):
        ids(place.connect())


@pytest.mark.parametrize(("host", "trusted"), [("localhost", True), ("localhost", False), ("127.0.0.1", True)])
def test_tls_checks_the_name_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, trusted: bool
) -> None:
    certificate = self_signed("localhost", tmp_path / "certificate.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with served(Api(numbered(0, 3)), context) as api:
        place = Place(tmp_path, api)
        place.write(manifest(error_handler={"type": "DefaultErrorHandler", "max_retries": 0}))
        found = place.connect(config={"url": api.url.replace("127.0.0.1", host)})
        if trusted and host == "localhost":
            assert ids(found)[0] == [0, 1, 2]
        else:
            with pytest.raises(Transient):
                ids(found)
