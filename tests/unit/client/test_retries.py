"""What is sent again, after how long, and under which key."""

from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.client import ApiError, TooManyRequests, Unreachable
from headrace.client.answers import retry_after_s
from headrace.client.call import get, post
from headrace.client.retries import PASSING, Retries
from tests.unit.client.script import Script, connect, ledger

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
READ, WRITE = get("/datasets"), post("/datasets/{name}/runs", name="nyc.flights")
STARTED = httpx.Response(202, json={"dataset": "nyc.flights", "run": 2})


@pytest.mark.parametrize("status", sorted(PASSING))
def test_a_read_outlives_an_answer_that_passes(status: int) -> None:
    script = Script(httpx.Response(status, headers={"Retry-After": "0"}), ledger(True, read=7))
    assert connect(script).datasets.ledger("nyc.flights").read == 7
    assert len(script.requests) == 2


def test_without_retries_the_same_answer_is_the_end() -> None:
    """The negative control: it is the sending again that lets a read outlive it."""
    script = Script(httpx.Response(503), ledger(True, read=7))
    with pytest.raises(ApiError):
        connect(script, retries=0).datasets.ledger("nyc.flights")
    assert len(script.requests) == 1


def test_an_answer_that_comes_line_by_line_is_asked_for_again_until_it_begins() -> None:
    line = {"part": "end", "ok": True}
    script = Script(httpx.Response(503), httpx.ConnectError("refused"), httpx.Response(200, json=line))
    assert [part.part for part in connect(script).sources.check("source: {}")] == ["end"]
    assert len(script.requests) == 3


@pytest.mark.parametrize("answer", [httpx.Response(503), httpx.Response(429), httpx.ReadError("reset")])
def test_a_write_is_sent_once(answer: httpx.Response | Exception) -> None:
    script = Script(answer, STARTED)
    with pytest.raises((ApiError, Unreachable)):
        connect(script).runs.start("nyc.flights")
    assert len(script.requests) == 1


def test_a_write_that_may_be_sent_again_keeps_its_key_and_the_next_has_another() -> None:
    script = Script(httpx.Response(503), httpx.ReadError("reset"), STARTED)
    client = connect(script, retry_writes=True)
    client.runs.start("nyc.flights")
    client.runs.start("nyc.flights")
    first, second, third, other = [request.headers["Idempotency-Key"] for request in script.requests]
    assert first == second == third != other


def test_a_read_has_no_key() -> None:
    script = Script(ledger(True))
    connect(script).datasets.ledger("nyc.flights")
    connect(Script(httpx.Response(200, json={"columns": [], "rows": [], "row_count": 0}))).query("SELECT 1")
    assert "Idempotency-Key" not in script.requests[0].headers


def test_who_asks_too_often_learns_when_to_come_back() -> None:
    script = Script(httpx.Response(429, headers={"Retry-After": "3600"}))
    with pytest.raises(TooManyRequests) as caught:
        connect(script).datasets.list()
    assert caught.value.retry_after_s == 3600
    assert len(script.requests) == 1  # an hour is not waited for


@given(attempt=st.integers(0, 9), draw=st.floats(0, 1))
def test_pauses_double_up_to_the_longest_and_are_never_less_than_half(attempt: int, draw: float) -> None:
    retries = Retries(most=10, first_pause_s=0.2, longest_pause_s=10)
    pause_s = retries.pause_s(attempt, READ, httpx.Response(503), asked_s=None, draw=draw)
    assert pause_s is not None
    whole_s = min(10, 0.2 * 2**attempt)
    assert whole_s / 2 <= pause_s <= whole_s


@given(asked_s=st.floats(0, 30), draw=st.floats(0, 1))
def test_a_gateway_that_asks_for_time_gets_it(asked_s: float, draw: float) -> None:
    pause_s = Retries().pause_s(0, READ, httpx.Response(429), asked_s=asked_s, draw=draw)
    assert pause_s is not None
    assert pause_s >= asked_s


def test_patience_and_writes_end_it() -> None:
    retries = Retries(most=2)
    assert retries.pause_s(2, READ, httpx.Response(503), asked_s=None, draw=0) is None
    assert retries.pause_s(0, WRITE, httpx.Response(503), asked_s=None, draw=0) is None
    assert retries.pause_s(0, WRITE, httpx.ConnectError("refused"), asked_s=None, draw=0) is not None
    assert retries.pause_s(0, READ, httpx.ReadTimeout("slow"), asked_s=None, draw=0) is None
    assert retries.pause_s(0, READ, httpx.Response(500), asked_s=None, draw=0) is None


@pytest.mark.parametrize(
    ("said", "meant"),
    [("7", 7.0), ("", None), ("soon", None), ("-1", None), ("Fri, 02 Jan 2026 03:04:35 GMT", 30.0),
     ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(said: str, meant: float | None) -> None:
    assert retry_after_s({"Retry-After": said}, NOW) == meant
