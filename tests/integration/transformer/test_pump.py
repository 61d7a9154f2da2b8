"""Staged rows come out transformed, filtered or quarantined, in one transaction with the books."""

import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from headrace.errors import Fatal
from headrace.secrets.envelope import seal
from headrace.secrets.keys import loaded, new_key
from headrace.stream import columns, topics
from headrace.stream.control import Controls
from headrace.stream.secret_log import SecretChange, SecretLog, SecretRecord
from headrace.stream.service import LiveDataset
from services.transformer.bootstrap import hash_keys, known_overrides, worker_for
from services.transformer.settings import TransformerSettings
from tests.integration.transformer.flow import Flow, until, with_system

MASTER_KEY = new_key()
FLIGHTS: dict[str, Any] = {
    "transform": {
        "sql": "SELECT f.id, f.dest, a.city, CAST(f.delay AS INT) AS delay FROM input AS f "
        "LEFT JOIN ref('{domain}.airports') AS a ON a.code = f.dest WHERE f.id > 0"
    },
    "checks": [
        {"check": "references", "column": "dest", "dataset": "{domain}.airports", "to": "code"},
        {"check": "between", "column": "delay", "max": 60, "severity": "flag"},
    ],
}


def in_domain(value: Any, domain: str) -> Any:
    """`value` with {domain} filled in wherever it stands."""
    if isinstance(value, dict):
        return {key: in_domain(inner, domain) for key, inner in value.items()}
    if isinstance(value, list):
        return [in_domain(inner, domain) for inner in value]
    return value.replace("{domain}", domain) if isinstance(value, str) else value


@contextmanager
def working(flow: Flow, dataset: LiveDataset, most_s: float = 10.0) -> Iterator[list[Exception]]:
    """The transformer at work on a dataset, in a thread as in its process. Gives what stopped it, if something did."""
    settings = TransformerSettings(
        bootstrap_servers=flow.stack.bootstrap_servers,
        registry_url=flow.stack.registry_url,
        session_timeout_ms=6000,
        master_key=MASTER_KEY,
        transform_time_limit_s=most_s,
    )
    keys, overrides = hash_keys(settings), known_overrides(settings)
    overrides.refresh()
    stopping = threading.Event()
    failures: list[Exception] = []

    def work() -> None:
        try:
            worker_for(dataset, settings, flow.registry, keys, overrides).run(stopping)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield failures
    finally:
        stopping.set()
        thread.join(30)
        keys.close()
        overrides.close()
        assert not thread.is_alive()


def stage_rows(
    flow: Flow, dataset: LiveDataset, rows: list[dict[str, Any]], partition: int = 0, first: int = 0
) -> None:
    fields = with_system(rows, columns.STAGED_FIELDS, first, {columns.PARTITION: partition})
    flow.publish(topics.staged(dataset.name), fields, partition)


def settled(flow: Flow, dataset: LiveDataset) -> int:
    return sum(entry["rows_in"] for entry in flow.control(topics.LEDGER, dataset.name))


def test_rows_meet_their_fates_and_the_books_agree(flow: Flow) -> None:
    airports = flow.apply(flow.dataset("airports"))
    known = [{"code": "JFK", "city": "New York"}, {"code": "EWR", "city": "Newark"}]
    flow.publish(topics.validated(airports.name, 1), with_system(known, columns.TRANSFORMED_FIELDS), 1)
    flights = flow.apply(flow.dataset("flights", version=4, **in_domain(FLIGHTS, flow.domain)))
    here = [
        {"id": 1, "dest": "JFK", "delay": "5"},
        {"id": 2, "dest": "SJU", "delay": "5"},
        {"id": -3, "dest": "JFK", "delay": "5"},
        {"id": 4, "dest": "EWR", "delay": "late"},
    ]
    stage_rows(flow, flights, here, 0)
    stage_rows(flow, flights, [{"id": 5, "dest": "EWR", "delay": "90"}], 1, first=70)
    with working(flow, flights):
        until(lambda: settled(flow, flights) == 5)
    rows = sorted(flow.rows(topics.transformed(flights.name, 1)), key=lambda row: row["id"])
    assert [
        (row["id"], row["city"], row["delay"], row["_partition"], row["_offset"], row["_version"]) for row in rows
    ] == [
        (1, "New York", 5, 0, 0, 4),
        (5, "Newark", 90, 1, 70, 4),
    ]
    assert [row["_flags"] for row in rows] == [[], ["between_delay"]]
    set_aside = {record["raw_offset"]: record for record in flow.quarantined(flights.name)}
    assert set_aside[1]["reason"] == "check_references"
    assert set_aside[1]["detail"] == f"dest is 'SJU', expected a code known to {flow.domain}.airports"
    assert set_aside[3]["reason"] == "transform_error"
    assert "Could not convert string 'late'" in set_aside[3]["detail"]
    entries = {entry["partition"]: entry for entry in flow.control(topics.LEDGER, flights.name)}
    assert entries[0]["filtered"] == {"f.id > 0": 1}
    assert entries[0]["quarantined"] == {"check_references": 1, "transform_error": 1}
    assert (entries[0]["emitted"], entries[1]["emitted"]) == (1, 1)


def test_rows_wait_for_the_dataset_they_refer_to_and_none_is_quarantined(flow: Flow) -> None:
    flights = flow.apply(flow.dataset("flights", **in_domain(FLIGHTS, flow.domain)))
    stage_rows(flow, flights, [{"id": 1, "dest": "JFK", "delay": "5"}])
    with working(flow, flights):
        airports = flow.apply(flow.dataset("airports"))
        assert settled(flow, flights) == 0
        known = with_system([{"code": "JFK", "city": "New York"}], columns.TRANSFORMED_FIELDS)
        flow.publish(topics.validated(airports.name, 1), known)
        until(lambda: settled(flow, flights) == 1)
    [row] = flow.rows(topics.transformed(flights.name, 1))
    assert row["city"] == "New York"


def test_the_published_schema_is_registered_even_if_every_row_is_dropped(flow: Flow) -> None:
    orders = flow.apply(flow.dataset("orders", transform={"sql": "SELECT id, id * 2 AS twice FROM input WHERE id > 9"}))
    stage_rows(flow, orders, [{"id": 1}])
    with working(flow, orders):
        until(lambda: settled(flow, orders) == 1)
    latest = flow.registry.latest(topics.subject(topics.transformed(orders.name, 1)))
    assert latest is not None
    assert '"twice"' in latest[1]


def test_sql_that_fits_no_row_stops_the_dataset_and_moves_nothing(flow: Flow) -> None:
    orders = flow.apply(flow.dataset("orders", transform={"sql": "SELECT idd FROM input"}))
    stage_rows(flow, orders, [{"id": 1}])
    with working(flow, orders) as failures:
        until(lambda: bool(failures))
    assert isinstance(failures[0], Fatal)
    assert settled(flow, orders) == 0
    assert flow.quarantined(orders.name) == []


def test_the_row_that_takes_too_long_is_set_aside_and_another_dataset_does_not_notice(flow: Flow) -> None:
    """Within one call of levenshtein() DuckDB does not stop when asked to: its process is ended."""
    sql = "SELECT id, levenshtein(repeat('x', n), repeat('y', n)) AS apart FROM input"
    costly = flow.apply(flow.dataset("costly", transform={"sql": sql}))
    orders = flow.apply(flow.dataset("orders"))
    stage_rows(flow, costly, [{"id": 1, "n": 3}, {"id": 2, "n": 300_000}, {"id": 3, "n": 4}])
    stage_rows(flow, orders, [{"id": 7}])
    with working(flow, costly, most_s=1.0) as failures, working(flow, orders) as others:
        until(lambda: settled(flow, orders) == 1)
        until(lambda: settled(flow, costly) == 3)
        stage_rows(flow, costly, [{"id": 4, "n": 5}], first=10)  # and it goes on itself
        until(lambda: settled(flow, costly) == 4)
    assert failures == others == []
    assert [row["id"] for row in flow.rows(topics.transformed(costly.name, 1))] == [1, 3, 4]
    [aside] = flow.quarantined(costly.name)
    assert (aside["reason"], aside["raw_offset"]) == ("too_costly", 1)
    assert aside["detail"] == "the SQL takes longer than 1 s, in a function that does not stop when asked to"
    assert [row["id"] for row in flow.rows(topics.transformed(orders.name, 1))] == [7]


def test_a_new_generation_reads_the_staged_rows_from_their_beginning(flow: Flow) -> None:
    orders = flow.apply(flow.dataset("orders"))
    stage_rows(flow, orders, [{"id": 1}])
    with working(flow, orders):
        until(lambda: settled(flow, orders) == 1)
    replayed = flow.dataset("orders", generation=2, version=2)
    with working(flow, replayed):
        until(lambda: settled(flow, orders) == 2)
    for generation in (1, 2):
        assert [row["id"] for row in flow.rows(topics.transformed(orders.name, generation))] == [1]


@contextmanager
def secret(flow: Flow, name: str, value: str) -> Iterator[None]:
    """A secret that stands for as long as it is needed."""
    log = SecretLog(flow.connection, Controls(flow.registry), "gateway", "test")
    sealed = seal(loaded(MASTER_KEY, None), name, 1, value.encode())
    record = SecretRecord(sealed, datetime(2026, 1, 2, tzinfo=UTC), "ann")
    log.change(lambda _: [SecretChange(name, record, "secret_set", f"ann set {name}")])
    try:
        yield
    finally:
        log.change(lambda _: [SecretChange(name, None, "secret_removed", f"ann removed {name}")])


def test_personal_data_leaves_hashed_under_the_secret_that_the_dataset_names(flow: Flow) -> None:
    name, key = f"{flow.domain}.key", "a key of thirty-two characters and more"
    transform = {"sql": "SELECT id, keyed_hash(mail) AS mail FROM input", "hash_key": f"secret://{name}"}
    orders = flow.apply(flow.dataset("orders", transform=transform))
    stage_rows(flow, orders, [{"id": 1, "mail": "ada@example.com"}])
    with working(flow, orders) as failures:  # nobody has set it
        until(lambda: bool(failures))
    assert f"headrace secret set {name}" in str(failures[0])
    assert settled(flow, orders) == 0
    with secret(flow, name, key), working(flow, orders):
        until(lambda: settled(flow, orders) == 1)
    [row] = flow.rows(topics.transformed(orders.name, 1))
    assert row["mail"] == hmac.new(key.encode(), b"ada@example.com", "sha256").hexdigest()
    opened = [event for event in flow.control(topics.EVENTS, orders.name) if event["type"] == "secret_opened"]
    assert [event["message"] for event in opened] == [f"transformer opened the secret {name} for {orders.name}"]
