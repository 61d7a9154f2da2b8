"""A source that is away is left alone for longer and longer; it is said when it goes, and when it is back."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.connector import SourceChanged
from headrace.contract.schedule import Schedule
from headrace.errors import Fatal, Transient
from services.ingest.adapters.outage import KIND, Outage, SourceDown, of_source
from services.ingest.core.backoff import LONGEST_S, delay_s
from services.ingest.core.reached import Reached

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Said:
    """Notices that are remembered."""

    def __init__(self) -> None:
        self.notices: list[tuple[str, str]] = []

    def incident(self, kind: str, dataset: str | None, message: str, data: Mapping[str, Any]) -> None:
        self.notices.append(("open", message))
        assert kind == KIND

    def resolved(self, kind: str, dataset: str | None, message: str) -> None:
        self.notices.append(("resolved", message))


def test_the_wait_grows_to_a_minute_and_is_spread() -> None:
    assert [delay_s(failures, 0.5) for failures in (1, 2, 3, 4)] == [0.5, 1, 2, 4]
    assert delay_s(1000, 0.5) == LONGEST_S
    assert delay_s(4, 0.0) < delay_s(4, 0.9) <= 1.5 * delay_s(4, 0.5)


def test_a_blip_is_not_told_an_outage_is_and_its_end_once() -> None:
    said = Said()
    outage = Outage("a.b", said, lambda: 0.5)  # type: ignore[arg-type]
    outage.over()
    assert [state for state, _ in said.notices] == ["resolved"], "another process may have said that it was down"
    outage.failed(SourceDown("refused"))
    outage.failed(SourceDown("refused"))
    outage.over()
    assert len(said.notices) == 1
    waits = [outage.failed(SourceDown("refused")) for _ in range(4)]
    assert waits == [0.5, 1, 2, 4], "success began the count anew"
    assert [state for state, _ in said.notices[1:]] == ["open", "open"]
    assert "down since" in said.notices[-1][1]
    assert "refused" in said.notices[-1][1]
    outage.over()
    outage.over()
    assert [state for state, _ in said.notices[3:]] == ["resolved"]


@pytest.mark.parametrize(
    ("raised", "seen"),
    [(Transient("gone"), SourceDown), (SourceChanged("another"), SourceChanged), (Fatal("wrong"), Fatal)],
)
def test_what_a_source_raises_is_told_from_what_the_platform_raises(raised: Exception, seen: type[Exception]) -> None:
    def steps() -> Iterator[int]:
        yield 1
        raise raised

    found = of_source(steps())
    assert next(found) == 1
    with pytest.raises(seen, match=str(raised)):
        next(found)
    assert list(of_source(iter([1, 2]))) == [1, 2]


def test_without_a_schedule_a_source_is_read_all_the_time() -> None:
    caught_up = Reached("p", 5, True)
    assert caught_up.at(NOW, None, NOW) is caught_up


def test_a_scheduled_source_is_read_when_it_is_time() -> None:
    hourly = Schedule(every="1h")
    begun = Reached().at(NOW, hourly, NOW)
    assert begun is not None
    assert (begun.begun_at, begun.caught_up) == (NOW, False)
    assert begun.at(NOW + timedelta(hours=9), hourly, NOW) is begun, "a reading that began is gone on with"
    read = Reached("p", 5, True, begun_at=NOW)
    assert read.at(NOW + timedelta(minutes=59), hourly, NOW) is None
    again = read.at(NOW + timedelta(minutes=61), hourly, NOW)
    assert again is not None
    assert (again.position, again.caught_up, again.begun_at) == ("p", False, NOW + timedelta(minutes=61))


def test_a_source_that_was_read_without_a_schedule_is_due_when_it_gets_one() -> None:
    found = Reached("p", 5, True).at(NOW, Schedule(cron="0 6 * * *"), NOW)
    assert found is not None
    assert found.begun_at == NOW


def test_a_wish_to_be_read_now_is_answered_once_and_after_what_is_under_way() -> None:
    hourly = Schedule(every="1h")
    read = Reached("p", 5, True, begun_at=NOW, request="first")
    soon = NOW + timedelta(minutes=1)
    assert read.at(soon, hourly, NOW, "first") is None, "it was answered"
    again = read.at(soon, hourly, NOW, "second")
    assert again == Reached("p", 5, False, begun_at=soon, request="second")
    assert again.at(soon, hourly, NOW, "third") is again, "a reading is under way"
    followed = Reached("p", 5, True).at(soon, None, NOW, "first")
    assert followed is not None
    assert followed.request == "first"
    assert followed.further("q", 2, 2).request == "first"


def test_a_source_that_may_be_given_up_is_after_so_many_failures_in_a_row() -> None:
    outage = Outage("a.b", Said(), lambda: 0.5)  # type: ignore[arg-type]
    assert not outage.exhausts(3)
    for _ in range(2):
        outage.failed(SourceDown("refused"))
    assert not outage.exhausts(None), "others are tried for ever"
    assert outage.exhausts(3)
    assert not outage.exhausts(3), "the next run is tried as often"
