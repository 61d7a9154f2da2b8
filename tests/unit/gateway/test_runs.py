"""When a dataset that is loaded in runs has come to rest."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from headrace.stream.runs import History, Run, State
from services.gateway.core.runs import refused, unfinished

RUN = Run("shop.products", 1, "shown", datetime(2026, 1, 2, tzinfo=UTC), request="a")
WANTED = replace(RUN, run=0, state="wanted")


def test_a_dataset_whose_last_run_shows_is_at_rest() -> None:
    told = History((WANTED, RUN))
    assert list(unfinished(told)) == list(refused(told)) == []


@pytest.mark.parametrize(("state", "said"), [("begun", "being read"), ("ended", "does not show yet")])
def test_a_run_that_is_under_way_is_waited_for(state: State, said: str) -> None:
    (reason,) = unfinished(History((RUN, replace(RUN, run=2, state=state))))
    assert said in reason


def test_a_run_that_has_not_begun_is_waited_for() -> None:
    assert list(unfinished(History())) == ["a run is to begin"]
    assert list(unfinished(History((RUN, replace(WANTED, request="b"))))) == ["a run is to begin"]


def test_a_run_that_was_refused_needs_a_person_until_the_next() -> None:
    no = replace(RUN, run=2, state="refused", message="13 of 14 rows")
    assert list(unfinished(History((RUN, no)))) == []
    assert list(refused(History((RUN, no)))) == ["run 2 of shop.products does not show: 13 of 14 rows"]
    assert list(refused(History((RUN, no, replace(RUN, run=3))))) == []
