"""CloudEvents: the same event is the same row in any mode, and is written once."""

import json
from typing import Any

import pytest

from tests.unit.ingest.pushing import Service, dataset, problem, served

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
EVENT = {
    "specversion": "1.0",
    "id": "A234-1234-1234",
    "source": "https://github.com/cloudevents",
    "type": "com.example.someevent",
    "time": "2018-04-05T17:31:00Z",
    "subject": "123",
    "comexampleextension": "value",
}


def structured(service: Service, event: dict[str, Any], **headers: str) -> Any:
    return service.post(json.dumps(event), STRUCTURED, **headers)


def binary(service: Service, event: dict[str, Any], body: bytes, kind: str) -> Any:
    return service.post(body, kind, **{f"ce-{name}": str(value) for name, value in event.items()})


def only_row(service: Service) -> dict[str, Any]:
    (row,) = service.broker.rows
    return {name: value for name, value in row.items() if value is not None}


DATA: list[tuple[dict[str, Any], bytes, str, dict[str, Any]]] = [
    ({"data": {"user": 7, "big": 12345678901234567}}, b'{"user": 7, "big": 12345678901234567}', "application/json", {}),
    ({"data": [1, 2]}, b"[1, 2]", "application/json", {}),
    ({"data": "<much/>"}, b"<much/>", "text/xml", {}),
    ({"data_base64": "AAH/"}, b"\x00\x01\xff", "application/octet-stream", {}),
]


@pytest.mark.parametrize(("data", "body", "kind", "_"), DATA)
def test_both_modes_give_the_same_row(
    data: dict[str, Any], body: bytes, kind: str, _: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(dataset(), monkeypatch) as service:
        answer = structured(service, {**EVENT, "datacontenttype": kind, **data})
        assert answer.json()["accepted"] == 1, answer.text
        row = only_row(service)
    with served(dataset(), monkeypatch) as service:
        assert binary(service, EVENT, body, kind).json()["accepted"] == 1
        assert only_row(service) == row
    expected = data["data"] if isinstance(data.get("data"), dict) else data
    assert row["ce_id"] == EVENT["id"]
    assert row["ce_time"].isoformat() == "2018-04-05T17:31:00+00:00"
    assert row["ce_comexampleextension"] == "value"
    assert row["ce_datacontenttype"] == kind
    assert {name: value for name, value in row.items() if not name.startswith("ce_")} == expected


def test_header_values_are_unescaped(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service:
        odd = {**EVENT, "subject": "Euro%20%E2%82%AC%20%F0%9F%98%80", "type": '"quoted \\" text"'}
        assert binary(service, odd, b"{}", "application/json").status_code == 202
        assert (only_row(service)["ce_subject"], only_row(service)["ce_type"]) == ("Euro € 😀", 'quoted " text')


def test_an_event_that_is_sent_again_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service:
        event = {**EVENT, "data": {"user": 7}}
        assert [structured(service, event).json()["repeated"] for _ in range(2)] == [False, True]
        assert structured(service, {**event, "id": "another"}).json()["repeated"] is False
        assert structured(service, {**event, "source": "elsewhere"}).json()["repeated"] is False
        assert len(service.broker.rows) == 3
        assert problem(structured(service, {**event, "data": {"user": 8}}), 422)


def test_a_key_of_the_sender_s_comes_before_that_of_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the control: it is the key made of id and source that keeps an event from being written twice."""
    with served(dataset(), monkeypatch) as service:
        answers = [structured(service, EVENT, Idempotency_Key=key).json()["repeated"] for key in ("a", "b", "a")]
        assert answers == [False, False, True]


def test_events_with_ids_that_look_like_something_else_stay_text(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service:
        ids = ["5b0c1d1e-0000-4000-8000-000000000001", "2018-04-05", "7", "x"]
        answers = [structured(service, {**EVENT, "id": each, "sequence": 5}).json()["accepted"] for each in ids]
        assert answers == [1, 1, 1, 1]
        assert [row["ce_id"] for row in service.broker.rows] == ids
        assert service.broker.rows[0]["ce_sequence"] == "5"


def test_a_bad_event_of_a_batch_is_set_aside_and_its_neighbours_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    good = [{**EVENT, "id": str(n), "data": {"n": n}} for n in range(3)]
    bad: list[Any] = [
        {**EVENT, "specversion": "0.3"},
        {name: value for name, value in EVENT.items() if name != "id"},
        {**EVENT, "data": {"ce_id": "mine"}},
        {**EVENT, "data": 1, "data_base64": "AA=="},
        {**EVENT, "Odd-Name": 1},
        7,
        {**EVENT, "time": "yesterday"},
    ]
    with served(dataset(), monkeypatch) as service:
        answer = service.post(json.dumps([good[0], *bad, *good[1:]]), BATCH).json()
        assert (answer["accepted"], answer["quarantined"]) == (3, 7)
        assert [row["n"] for row in service.broker.rows] == [0, 1, 2]
        reasons = [record["reason"] for record in service.broker.aside]
        assert reasons == ["unreadable_row"] * 6 + ["wrong_type"]
        assert "row 2" in service.broker.aside[0]["source"]


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ({"specversion": "1.0", "id": "1", "type": "t"}, "no source"),
        ({**EVENT, "specversion": "2.0"}, "CloudEvents 2.0"),
        ({**EVENT, "id": ""}, "no id"),
    ],
)
def test_a_single_event_that_is_none_is_refused(
    event: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(dataset(), monkeypatch) as service:
        assert why in problem(structured(service, event), 400)["detail"]
        assert why in problem(binary(service, event, b"{}", "application/json"), 400)["detail"]
        assert problem(service.post("{", STRUCTURED), 400)
        assert problem(binary(service, EVENT, b"{", "application/json"), 400)
        assert service.broker.rows == []
