"""The SDK against a double of the gateway: an httpx transport that answers from a script, no network."""

from typing import Any

import httpx
import pytest

from headrace.client import ApiError, Client, NotSettled, Stopped, Unreachable
from headrace.client.results import Ledger
from headrace.errors import HeadraceError
from tests.unit.client.script import Answer, Script, connect, ledger


def test_a_call_carries_the_token_and_reads_a_typed_result() -> None:
    script = Script(httpx.Response(200, json={"items": [{"name": "nyc.flights", "version": 3, "generation": 1,
                                                         "state": "active", "applied_at": "2026-01-02T03:04:05Z",
                                                         "a_member_of_tomorrow": 1}]}))  # fmt: skip
    (dataset,) = connect(script).datasets.list()
    assert (dataset.name, dataset.version) == ("nyc.flights", 3)
    assert dataset.applied_at is not None
    assert dataset.applied_at.utcoffset() is not None
    assert script.requests[0].headers["Authorization"] == "Bearer s3cret"
    assert script.requests[0].url.path == "/api/v1/datasets"


def test_a_problem_becomes_an_api_error_with_status_title_and_detail() -> None:
    problem = {"type": "about:blank", "title": "Not found", "status": 404, "detail": "No dataset 'nyc.x'."}
    script = Script(httpx.Response(404, json=problem, headers={"content-type": "application/problem+json"}))
    with pytest.raises(ApiError) as caught:
        connect(script).datasets.get("nyc.x")
    assert (caught.value.status, caught.value.title, caught.value.detail) == (404, "Not found", "No dataset 'nyc.x'.")
    assert isinstance(caught.value, HeadraceError)
    assert len(script.requests) == 1


def test_an_error_that_is_not_a_problem_document_still_has_a_status_and_a_title() -> None:
    with pytest.raises(ApiError) as caught:
        connect(Script(httpx.Response(500, text="<html>oops</html>"))).datasets.list()
    assert (caught.value.status, caught.value.title) == (500, "Internal Server Error")


@pytest.mark.parametrize(
    "hiccup",
    [httpx.Response(502), httpx.Response(503), httpx.ConnectError("refused"), httpx.ReadError("reset"),
     httpx.RemoteProtocolError("closed")],
)  # fmt: skip
def test_a_safe_call_outlives_a_hiccup(hiccup: Answer) -> None:
    script = Script(hiccup, hiccup, ledger(True, read=7))
    assert connect(script).datasets.ledger("nyc.flights").read == 7
    assert len(script.requests) == 3


def test_a_call_that_changes_something_is_not_sent_twice() -> None:
    applied = httpx.Response(200, json={"name": "nyc.flights", "version": 1, "generation": 1, "changed": True})
    script = Script(httpx.ReadError("reset"), applied)
    with pytest.raises(Unreachable):
        connect(script).datasets.apply("nyc.flights", "dataset: nyc.flights")
    assert len(script.requests) == 1


def test_a_call_that_never_left_is_sent_again_even_if_it_changes_something() -> None:
    applied = httpx.Response(200, json={"name": "nyc.flights", "version": 1, "generation": 1, "changed": True})
    script = Script(httpx.ConnectError("refused"), applied)
    assert connect(script).datasets.apply("nyc.flights", "dataset: nyc.flights").changed
    assert len(script.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500])
def test_an_answer_that_will_not_change_is_not_asked_for_again(status: int) -> None:
    script = Script(httpx.Response(status), ledger(True))
    with pytest.raises(ApiError):
        connect(script).datasets.ledger("nyc.flights")
    assert len(script.requests) == 1


def test_patience_ends() -> None:
    script = Script(httpx.ConnectError("Connection refused"))
    with pytest.raises(Unreachable, match=r"No gateway answers at http://gateway\.test"):
        connect(script, retries=2).datasets.list()
    assert len(script.requests) == 3


def test_a_slow_answer_is_not_waited_for_again() -> None:
    script = Script(httpx.ReadTimeout("slow"))
    with pytest.raises(Unreachable, match="did not answer GET /datasets in time"):
        connect(script).datasets.list()
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "answer", [httpx.Response(200, text="<html>hello</html>"), httpx.Response(200, json={"hello": "world"}),
               httpx.Response(200, json={"items": [{"colour": "red"}]})]
)  # fmt: skip
def test_another_program_at_the_address_is_recognised(answer: httpx.Response) -> None:
    with pytest.raises(HeadraceError, match=r"gateway"):
        connect(Script(answer)).datasets.list()


def test_a_gateway_that_is_away_is_said_to_be_where_an_answer_comes_line_by_line() -> None:
    with pytest.raises(Unreachable, match="No gateway answers at"):
        list(connect(Script(httpx.ConnectError("refused"))).sources.check("source: {}"))


@pytest.mark.parametrize("url", ["not an address", "ftp://gateway.test", "http://[::1"])
def test_a_wrong_address_is_named(url: str) -> None:
    with pytest.raises(HeadraceError, match="address"), Client(url, retries=0) as client:
        client.datasets.list()


def test_waiting_reports_progress_and_ends_when_the_dataset_has_settled() -> None:
    script = Script(
        ledger(False, read=10, loaded=4, in_flight=6), httpx.Response(503), ledger(True, read=10, loaded=10)
    )
    seen: list[Ledger] = []
    result = connect(script, retries=0).datasets.wait_settled("nyc.flights", 30, seen.append, poll_s=0)
    assert result.loaded == 10
    assert [books.loaded for books in seen] == [4, 10]


def test_waiting_ends_with_what_is_still_in_flight() -> None:
    script = Script(ledger(False, read=1000, loaded=400, in_flight=600))
    with pytest.raises(NotSettled, match="600 of 1,000 rows read are in flight"):
        connect(script).datasets.wait_settled("nyc.flights", 0, poll_s=0)


def test_waiting_for_a_dataset_that_a_service_has_given_up_ends_at_once_with_its_message() -> None:
    message = "ingest stopped working on nyc.flights: flights.csv is damaged; replace it"
    script = Script(ledger(False, read=10, in_flight=10, waiting_for=[message], problems=[message]))
    with pytest.raises(Stopped, match="is damaged"):
        connect(script).datasets.wait_settled("nyc.flights", 30, poll_s=0)


def test_waiting_for_an_unknown_dataset_ends_at_once() -> None:
    with pytest.raises(ApiError):
        connect(Script(httpx.Response(404))).datasets.wait_settled("nyc.flights", 30, poll_s=0)


@pytest.mark.parametrize(
    ("books", "balanced"),
    [
        ({"read": 10, "loaded": 7, "filtered": {"a": 1}, "quarantined": {"b": 1}, "in_flight": 1}, True),
        ({"read": 10, "loaded": 10, "hashes_agree": True}, True),
        ({"read": 10, "multiplied": 2, "loaded": 12}, True),
        ({"read": 10, "loaded": 9}, False),
        ({"read": 10, "loaded": 9, "residue": 1}, False),
        ({"read": 10, "loaded": 10, "hashes_agree": False}, False),
    ],
)
def test_books_balance_when_every_row_has_a_fate_and_the_hashes_agree(books: dict[str, Any], balanced: bool) -> None:
    assert Ledger(dataset="nyc.flights", **books).balanced is balanced
