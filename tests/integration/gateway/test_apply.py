"""Applying dataset files over real Kafka: topics are made, the topic is the truth, and one writer has its way at a time."""

from datetime import UTC, datetime
from http import HTTPStatus

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from fastapi.testclient import TestClient

from headrace.contract import load
from headrace.errors import Fatal, Transient
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Followed
from headrace.stream.registry import Registry
from headrace.stream.service import live_datasets
from services.gateway.adapters.dataset_log import DatasetLog
from services.gateway.core.datasets import DatasetVersion
from tests.integration.gateway.conftest import MakeGateway
from tests.stack import eventually

AT = datetime(2026, 1, 2, tzinfo=UTC)


def airports(domain: str, description: str = "Airports.", key: str = "faa") -> str:
    return f"""
dataset: {domain}.airports
description: {description}
owner: {{team: mobility}}
source: {{type: file, path: airports.csv}}
key: [{key}]
partitions: 3
"""


def flights(domain: str) -> str:
    return f"""
dataset: {domain}.flights
description: Flights.
owner: {{team: mobility}}
source: {{type: file, path: flights.csv}}
checks: [{{check: references, column: dest, dataset: {domain}.airports, to: faa}}]
"""


def put(client: TestClient, name: str, document: str) -> tuple[HTTPStatus, dict[str, object]]:
    response = client.put(f"/api/v1/datasets/{name}", json={"document": document})
    return HTTPStatus(response.status_code), response.json()


def test_apply_makes_topics_and_publishes_the_version(
    make_gateway: MakeGateway, connection: Connection, registry: Registry, domain: str
) -> None:
    client, name = make_gateway(), f"{domain}.airports"
    assert put(client, name, airports(domain)) == (
        HTTPStatus.OK,
        {"name": name, "version": 1, "generation": 1, "changed": True, "warnings": []},
    )
    made = AdminClient(connection.client()).list_topics(timeout=10).topics
    assert {len(made[topic].partitions) for topic in topics.of_dataset(name, 1)} == {3}
    followed = live_datasets(connection, registry)
    try:
        followed.refresh()
        assert followed.state[name].contract == load(airports(domain))
        assert (followed.state[name].version, followed.state[name].state) == (1, "active")
    finally:
        followed.close()


def test_a_failing_test_keeps_a_file_from_going_live_and_why_one_was_skipped_is_on_record(
    make_gateway: MakeGateway, connection: Connection, controls: Controls, domain: str
) -> None:
    client, name = make_gateway(), f"{domain}.airports"
    tests = "tests: [{name: passes, given: [{faa: JFK}], expect: {rows: [{faa: LGA}]}}]\n"
    status, body = put(client, name, airports(domain) + tests)
    assert (status, body["type"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, "urn:headrace:problem:failed-tests")
    assert client.get(f"/api/v1/datasets/{name}").status_code == HTTPStatus.NOT_FOUND
    document = {"document": airports(domain) + tests, "skip_tests": "a trial"}
    applied = client.put(f"/api/v1/datasets/{name}", json=document).json()
    assert (applied["version"], applied["warnings"]) == (1, ["its 1 test did not run: a trial"])
    assert client.get(f"/api/v1/datasets/{name}").json()["tests_skipped"] == "a trial"
    followed = Followed(connection, topics.DATASETS, controls.decode)
    try:
        followed.refresh()
        assert followed.state[name]["tests_skipped"] == "a trial"
    finally:
        followed.close()
    status, body = put(client, name, airports(domain) + tests.replace("LGA", "JFK"))
    assert (status, body["version"], body["warnings"]) == (HTTPStatus.OK, 2, [])
    assert client.get(f"/api/v1/datasets/{name}").json()["tests_skipped"] == ""


def test_applying_again_changes_nothing_and_a_harmless_change_is_the_next_version(
    make_gateway: MakeGateway, domain: str
) -> None:
    client, name = make_gateway(), f"{domain}.airports"
    put(client, name, airports(domain))
    assert put(client, name, airports(domain))[1]["changed"] is False
    status, body = put(client, name, airports(domain, "Airports of the USA."))
    assert (status, body["version"], body["changed"]) == (HTTPStatus.OK, 2, True)
    assert client.get(f"/api/v1/datasets/{name}").json()["description"] == "Airports of the USA."


def test_what_is_refused_leaves_no_trace(make_gateway: MakeGateway, domain: str) -> None:
    client, name = make_gateway(), f"{domain}.airports"
    status, body = put(client, f"{domain}.flights", flights(domain))
    assert (status, body["type"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, "urn:headrace:problem:unknown-parents")
    assert name in str(body["detail"])
    assert client.get(f"/api/v1/datasets/{name}").status_code == HTTPStatus.NOT_FOUND

    put(client, name, airports(domain))
    status, body = put(client, name, airports(domain, key="name"))
    assert (status, body["type"]) == (HTTPStatus.CONFLICT, "urn:headrace:problem:breaking-change")
    assert [change["path"] for change in body["problems"]] == ["key"]  # type: ignore[attr-defined]
    assert client.get(f"/api/v1/datasets/{name}").json()["version"] == 1
    assert put(client, f"{domain}.flights", flights(domain))[0] == HTTPStatus.OK


def test_a_gateway_that_lost_its_database_finds_everything_in_the_topic(make_gateway: MakeGateway, domain: str) -> None:
    first, name = make_gateway(), f"{domain}.airports"
    put(first, name, airports(domain))
    put(first, name, airports(domain, "Airports of the USA."))
    second = make_gateway()
    assert put(second, name, airports(domain, "Airports of the USA."))[1] == {
        "name": name, "version": 2, "generation": 1, "changed": False, "warnings": [],
    }  # fmt: skip
    eventually(
        lambda: second.get(f"/api/v1/datasets/{name}").json() == first.get(f"/api/v1/datasets/{name}").json(),
        60,
        "the second gateway has folded the topic",
    )


def test_two_gateways_cannot_both_decide_on_the_same_version(
    connection: Connection, controls: Controls, registry: Registry, domain: str
) -> None:
    first, second = DatasetLog(connection, controls), DatasetLog(connection, controls)
    document = load(airports(domain)).canonical_json()
    name = f"{domain}.airports"

    def version(by: str) -> DatasetVersion:
        return DatasetVersion(name, 1, 1, "active", document, AT, by)

    def decide_slowly(live: object) -> DatasetVersion:
        """While the first decides, the second decides and writes."""
        second.append(lambda _: version("second"))
        return version("first")

    with pytest.raises(Transient, match="try again"):
        first.append(decide_slowly)
    seen: list[str] = []
    first.append(lambda live: seen.append(live[name].applied_by))
    assert seen == ["second"]


def test_a_version_that_cannot_be_read_is_not_written_over(
    connection: Connection, controls: Controls, registry: Registry, domain: str
) -> None:
    """To whom it is unknown, the next version would be the first."""
    log, name = DatasetLog(connection, controls), f"{domain}.airports"
    version = DatasetVersion(name, 1, 1, "active", load(airports(domain)).canonical_json(), AT, "one")
    log.append(lambda _: version)
    producer = Producer(connection.client())
    producer.produce(topics.DATASETS, b"\xffnot a record", name)
    assert producer.flush(10) == 0
    try:
        with pytest.raises(Fatal, match="nothing was written over it"):
            log.append(lambda _: version)
    finally:  # the topic is everybody's
        producer.produce(topics.DATASETS, None, name)
        assert producer.flush(10) == 0
