"""A push answered with 202 is durable, and one with an Idempotency-Key is written once."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from headrace.stream import topics
from tests.integration.ingest.running import Ingest, Platform, ingest, until
from tests.stack import free_ports

PUSH = {"type": "http_push"}


def ndjson(first: int, rows: int) -> str:
    return "".join(json.dumps({"id": n, "name": f"n{n}"}) + "\n" for n in range(first, first + rows))


def arrow_stream(first: int, rows: int) -> bytes:
    table = pa.table(
        {"id": pa.array(range(first, first + rows), pa.int64()), "name": [f"n{n}" for n in range(first, first + rows)]}
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def test_json_ndjson_and_arrow_arrive_with_the_same_types(
    platform: Platform, dataset: str, port: int, tmp_path: Path
) -> None:
    platform.apply(dataset, PUSH)
    with ingest(platform, port, tmp_path) as running:
        first = running.push_when_ready(dataset, ndjson(0, 10))
        assert first.status_code == 202
        assert first.json() == {"dataset": dataset, "accepted": 10, "quarantined": 0, "repeated": False}
        array = json.dumps([{"id": 10 + n, "name": f"n{10 + n}"} for n in range(10)], indent=2)
        assert running.push(dataset, array, "application/json").json()["accepted"] == 10
        arrow = running.push(dataset, arrow_stream(20, 10), "application/vnd.apache.arrow.stream")
        assert arrow.json()["accepted"] == 10
    table = platform.rows(dataset)
    assert platform.column(dataset, "id") == list(range(30))
    assert {field.name: field.type for field in table.schema}["id"] == pa.int64()
    assert platform.books(dataset) == {"rows_in": 30, "emitted": 30}


def test_declared_columns_fix_the_types(platform: Platform, dataset: str, port: int, tmp_path: Path) -> None:
    fields = [
        {"name": "id", "logicalType": "integer"},
        {"name": "price", "logicalType": "number", "physicalType": "decimal(10, 2)"},
        {"name": "at", "logicalType": "timestamp"},
    ]
    platform.apply(dataset, PUSH, schema={"fields": fields, "evolution": "quarantine"})
    rows = [
        {"id": 1, "price": 12.30, "at": "2024-01-01T00:00:00+01:00"},
        {"id": 2, "price": 0.001},
        {"id": 3, "colour": "red"},
    ]
    with ingest(platform, port, tmp_path) as running:
        answer = running.push_when_ready(dataset, json.dumps(rows), kind="application/json")
        assert (answer.json()["accepted"], answer.json()["quarantined"]) == (1, 2)
    table = platform.rows(dataset)
    assert [str(value) for value in table.column("price").to_pylist()] == ["12.30"]
    assert platform.column(dataset, "at") == [datetime(2023, 12, 31, 23, tzinfo=UTC)]
    assert {(record["reason"], record["column"]) for record in platform.quarantine(dataset)} == {
        ("wrong_type", "price"),
        ("unknown_field", "colour"),
    }


def test_new_fields_become_columns(platform: Platform, dataset: str, port: int, tmp_path: Path) -> None:
    platform.apply(dataset, PUSH)
    with ingest(platform, port, tmp_path) as running:
        running.push_when_ready(dataset, '{"id": 1}')
        assert running.push(dataset, '{"id": 2, "size": 1.5}').status_code == 202
        assert running.push(dataset, '{"id": 3, "size": 2.5}', key="with a key").status_code == 202
    table = platform.rows(dataset)
    assert platform.column(dataset, "id") == [1, 2, 3]
    assert sorted(filter(None, table.column("size").to_pylist())) == [1.5, 2.5]


def test_a_retry_is_answered_as_the_first_time_and_written_once(
    platform: Platform, dataset: str, port: int, tmp_path: Path, another_port: Callable[[], int]
) -> None:
    platform.apply(dataset, PUSH)
    body = ndjson(0, 5) + "not json\n"
    with ingest(platform, port, tmp_path) as running:
        first = running.push_when_ready(dataset, body, key="one")
        again = running.push(dataset, body, key="one")
        other = running.push(dataset, ndjson(0, 4), key="one")
    expected = {"dataset": dataset, "accepted": 5, "quarantined": 1}
    assert first.json() == {**expected, "repeated": False}
    assert (again.status_code, again.json()) == (202, {**expected, "repeated": True})
    assert other.status_code == 422
    assert other.headers["content-type"] == "application/problem+json"
    with ingest(platform, another_port(), tmp_path) as restarted:
        later = restarted.push_when_ready(dataset, body, key="one")
        assert later.json() == {**expected, "repeated": True}
    assert platform.column(dataset, "id") == list(range(5))


def test_without_a_key_a_retry_is_written_again(platform: Platform, dataset: str, port: int, tmp_path: Path) -> None:
    """The control of the test above: it is the key that keeps a retry from being written twice."""
    platform.apply(dataset, PUSH)
    with ingest(platform, port, tmp_path) as running:
        running.push_when_ready(dataset, ndjson(0, 5))
        running.push(dataset, ndjson(0, 5))
    assert len(platform.rows(dataset)) == 10


def test_a_retry_at_another_instance_is_written_once(
    platform: Platform, dataset: str, port: int, tmp_path: Path, another_port: Callable[[], int]
) -> None:
    platform.apply(dataset, PUSH)
    with ingest(platform, port, tmp_path) as here, ingest(platform, another_port(), tmp_path) as there:
        here.push_when_ready(dataset, ndjson(0, 1), key="first")
        there.push_when_ready(dataset, ndjson(0, 1), key="first")
        for number in range(1, 6):
            first = here.push_when_ready(dataset, ndjson(number, 1), key=f"k{number}")
            second = there.push_when_ready(dataset, ndjson(number, 1), key=f"k{number}")
            assert (first.status_code, second.status_code) == (202, 202), (first.text, second.text)
            assert second.json()["repeated"]
    assert platform.column(dataset, "id") == list(range(6))


def test_kill_9_in_the_middle_and_every_client_retries(
    platform: Platform, dataset: str, port: int, tmp_path: Path, another_port: Callable[[], int]
) -> None:
    platform.apply(dataset, PUSH)
    first = Ingest(platform, port, tmp_path).wait()
    first.push_when_ready(dataset, ndjson(0, 10), key="k0")
    acknowledged: list[int] = []

    def send(number: int) -> None:
        try:
            if first.push(dataset, ndjson(number * 10, 10), key=f"k{number}").status_code == 202:
                acknowledged.append(number)
        except Exception:
            return

    def send_every_fourth(first_number: int) -> None:
        for number in range(first_number, 200, 4):
            send(number)

    clients = [threading.Thread(target=send_every_fourth, args=(part,)) for part in (1, 2, 3, 4)]
    for client in clients:
        client.start()
    until(lambda: len(acknowledged) > 20, "some requests are answered")
    first.kill()
    for client in clients:
        client.join()
    assert len(acknowledged) < 199, "the test came too late to interrupt anything"
    with ingest(platform, another_port(), tmp_path) as second:
        second.push_when_ready(dataset, ndjson(0, 10), key="k0")
        for number in range(1, 200):
            answer = second.push(dataset, ndjson(number * 10, 10), key=f"k{number}")
            assert answer.status_code == 202
            assert answer.json()["repeated"] or number not in acknowledged, "what was acknowledged had not been written"
    assert platform.column(dataset, "id") == list(range(2000))


def test_concurrent_requests_share_transactions(platform: Platform, dataset: str, port: int, tmp_path: Path) -> None:
    platform.apply(dataset, PUSH, partitions=1)
    with ingest(platform, port, tmp_path) as running:
        running.push_when_ready(dataset, ndjson(0, 1))
        clients = [threading.Thread(target=running.push, args=(dataset, ndjson(n, 1))) for n in range(1, 101)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert platform.column(dataset, "id") == list(range(101))
    entries = [value for _, _, key, value in platform.messages(topics.LEDGER) if key == dataset.encode()]
    assert len(entries) < 100


@pytest.mark.parametrize(
    ("body", "kind", "headers", "status"),
    [
        ("{}", "application/x-ndjson", {"Authorization": "Bearer wrong"}, 401),
        ("{}", "text/plain", {}, 415),
        ("[{]", "application/json", {}, 400),
        ("junk", "application/vnd.apache.arrow.stream", {}, 400),
        ("x" * 2_000_000, "application/x-ndjson", {}, 413),
    ],
)
def test_a_request_that_cannot_be_taken_says_why(
    platform: Platform, refusing: tuple[Ingest, str], body: str, kind: str, headers: dict[str, str], status: int
) -> None:
    running, name = refusing
    answer = running.push(name, body, kind, **headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["next"]


@pytest.fixture(scope="module")
def refusing(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ingest, str]]:
    """A running service and a dataset it knows."""
    name = "ingest.refusals"
    platform.apply(name, PUSH)
    with ingest(
        platform, free_ports(1)[0], tmp_path_factory.mktemp("refusing"), push_max_body_bytes=1_000_000
    ) as running:
        running.push_when_ready(name, '{"id": 1}')
        yield running, name
    platform.retire(name)


def test_a_type_that_no_record_can_hold_is_refused_and_the_next_request_taken(
    platform: Platform, refusing: tuple[Ingest, str]
) -> None:
    running, name = refusing
    table = pa.table({"id": [2], "odd": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    assert running.push(name, sink.getvalue(), "application/vnd.apache.arrow.stream").status_code == 409
    assert running.push(name, '{"id": 2}').status_code == 202


def test_an_unknown_dataset_is_not_found(platform: Platform, refusing: tuple[Ingest, str]) -> None:
    answer = refusing[0].push("ingest.nobody", "{}")
    assert answer.status_code == 404


def test_bad_rows_are_set_aside_and_their_neighbours_accepted(
    platform: Platform, dataset: str, port: int, tmp_path: Path
) -> None:
    deep = "[" * 2000 + "]" * 2000
    rows = ['{"id": 1}', '{"id": NaN}', '{"id": 2, "s": "\\ud800"}', f'{{"id": 3, "d": {deep}}}', "7", '{"id": 4}']
    platform.apply(dataset, PUSH)
    with ingest(platform, port, tmp_path) as running:
        answer = running.push_when_ready(dataset, "[" + ",\n".join(rows) + "]", kind="application/json")
        assert (answer.json()["accepted"], answer.json()["quarantined"]) == (2, 4)
        metrics = httpx.get(f"{running.url}/metrics").text
        assert "headrace_rows_quarantined_total" in metrics
    assert platform.column(dataset, "id") == [1, 4]
