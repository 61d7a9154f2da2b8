"""Which rows a decision by hand is about, and what of it stands."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import Engine

from headrace.stream.overrides import Act, Override
from services.gateway.adapters.override_store import OverrideStore, fold_overrides
from services.gateway.core.incidents import HELD, STOPPED, Incident
from services.gateway.core.overrides import HeldRow, each_once, held_row, not_held, release, skip_of, undecided

AT = datetime(2026, 1, 2, tzinfo=UTC)
NAME = "shop.orders"
ROW = HeldRow(NAME, 1, 50, "huge", "check_between", "a is 99", AT)


def stretches(rows: int, ends: dict[int, int]) -> list[tuple[int, int, int]]:
    made = release(ROW, "pass", AT, "ann", "why", rows, ends)
    assert {(each.act, each.rule, each.dataset) for each in made} == {("pass", "huge", NAME)}
    return [(each.partition, each.from_offset, each.to_offset) for each in made]


def test_a_release_is_about_the_row_the_next_ones_or_all_that_are_there() -> None:
    assert stretches(1, {}) == [(1, 50, 50)]
    assert stretches(10, {}) == [(1, 50, 59)]
    assert stretches(1, {0: 7, 1: 80, 2: 0}) == [(0, 0, 6), (1, 50, 79)]
    assert stretches(100, {1: 80}) == [(1, 50, 149)]


def test_an_incident_tells_of_a_held_row_if_it_is_about_one() -> None:
    data = {"version": 1, "partition": 1, "offset": 50, "rule": "huge", "reason": "check_between", "detail": "a is 99"}
    incident = Incident("row_held/transformer/0", HELD, NAME, "transformer", AT, "open", "held", json.dumps(data))
    assert held_row(incident) == ROW
    for other in (replace(incident, type=STOPPED), replace(incident, data="{}"), replace(incident, data="no")):
        assert held_row(other) is None


def test_only_a_row_that_is_held_now_is_decided_about() -> None:
    other = replace(ROW, offset=60)
    assert not_held(["1:50", "1:60"], [ROW, other], []) == []
    assert not_held(["1:50", "1:60"], [other], [decided("skip", "a")]) == ["1:50 is not held"]
    [said] = not_held(["0:7"], [other], [decided("pass", "a"), decided("quarantine", "b")])
    assert said.startswith("0:7 is not held any more: quarantine by ann at 2026-01-02")


def test_a_row_that_two_instances_tell_of_is_one() -> None:
    again = replace(ROW, since=AT + timedelta(seconds=9))
    assert each_once([again, ROW, replace(ROW, dataset="a.b"), replace(ROW, offset=5)]) == [
        replace(ROW, dataset="a.b"),
        replace(ROW, offset=5),
        ROW,
    ]


def test_a_held_row_is_no_trouble_any_more_once_somebody_has_decided_about_it() -> None:
    data = json.dumps({"partition": 0, "offset": 7, "rule": "huge"})
    held = Incident("row_held/transformer/0", HELD, NAME, "transformer", AT, "open", "held", data)
    stopped = replace(held, type=STOPPED)
    about = replace(decided("pass", "a"), rule="huge")
    assert undecided([held, stopped], [about]) == undecided([held, stopped], [decided("skip", "a")]) == (stopped,)
    for other in (replace(about, rule="other"), replace(about, partition=1), replace(about, dataset="shop.others")):
        assert undecided([held, stopped], [other]) == (held, stopped)


def decided(act: Act, id: str, at: datetime = AT) -> Override:
    return Override(NAME, act, at, "ann", "why", 0, 5, 9, id=id)


def test_a_skip_that_came_after_a_row_was_decided_about_did_not_leave_it_out() -> None:
    early, late = decided("skip", "a"), decided("skip", "b", AT + timedelta(hours=2))
    assert skip_of([decided("pass", "c"), early, late], 0, 7, AT + timedelta(hours=1)) == early
    assert skip_of([late], 0, 7, AT + timedelta(hours=1)) is None
    assert skip_of([late], 0, 7, None) == late
    assert skip_of([early], 0, 10, None) is None


def test_what_stands_is_listed_in_the_order_of_time_and_a_pin_can_be_taken_back(engine: Engine) -> None:
    store = OverrideStore(engine, cast(Any, None), cast(Any, None))
    later = decided("skip", "a", AT + timedelta(hours=1))
    pin = Override(NAME, "pin", AT + timedelta(hours=2), "ann", "closed", id="pin")
    every = [later, decided("pass", "b"), pin, replace(pin, dataset="shop.others", because="too")]
    with engine.begin() as connection:
        fold_overrides(connection, [(each.key, each) for each in every])
    assert [each.id for each in store.of(NAME)] == ["b", "a", "pin"]
    assert {name: each.because for name, each in store.pins().items()} == {NAME: "closed", "shop.others": "too"}
    with engine.begin() as connection:
        fold_overrides(connection, [(pin.key, replace(pin, act="unpin")), (later.key, None)])
    assert [each.id for each in store.of(NAME)] == ["b"]
    assert store.pins().keys() == {"shop.others"}
