"""When a source is read."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from headrace.contract.schedule import Schedule

ZURICH = ZoneInfo("Europe/Zurich")
MONDAY = datetime(2026, 11, 23, 12, tzinfo=UTC)


def following(schedule: Schedule, moment: datetime, count: int) -> list[datetime]:
    found = []
    for _ in range(count):
        moment = schedule.after(moment)
        found.append(moment)
    return found


def test_times_are_those_of_the_zone() -> None:
    first, second = following(Schedule(cron="30 6 * * *", timezone="Europe/Zurich"), MONDAY, 2)
    assert first == datetime(2026, 11, 24, 5, 30, tzinfo=UTC)
    assert second - first == timedelta(days=1)


def test_a_day_of_23_or_25_hours_has_one_run() -> None:
    schedule = Schedule(cron="0 6 * * *", timezone="Europe/Zurich")
    spring = following(schedule, datetime(2026, 3, 27, 12, tzinfo=UTC), 3)
    assert [each.astimezone(ZURICH).hour for each in spring] == [6, 6, 6]
    assert spring[1] - spring[0] == timedelta(hours=23)
    autumn = following(schedule, datetime(2026, 10, 23, 12, tzinfo=UTC), 3)
    assert autumn[1] - autumn[0] == timedelta(hours=25)


def test_an_hour_that_comes_twice_has_one_run_and_one_that_never_comes_is_made_up_for() -> None:
    schedule = Schedule(cron="30 2 * * *", timezone="Europe/Zurich")
    autumn = following(schedule, datetime(2026, 10, 24, 12, tzinfo=UTC), 2)
    assert [each.astimezone(ZURICH).day for each in autumn] == [25, 26]
    spring = following(schedule, datetime(2026, 3, 28, 12, tzinfo=UTC), 2)
    assert [each.astimezone(ZURICH).day for each in spring] == [29, 30]


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("0", ["Sun"]),
        ("7", ["Sun"]),
        ("1-5", ["Mon", "Tue", "Wed", "Thu", "Fri"]),
        ("MON,WED", ["Mon", "Wed"]),
        ("5-7", ["Fri", "Sat", "Sun"]),
        ("0-1", ["Mon", "Sun"]),
        ("FRI-MON", ["Mon", "Fri", "Sat", "Sun"]),
        ("*/2", ["Tue", "Thu", "Sat", "Sun"]),
        ("1-5/2", ["Mon", "Wed", "Fri"]),
    ],
)
def test_days_of_the_week_are_those_of_cron(field: str, days: list[str]) -> None:
    schedule = Schedule(cron=f"0 0 * * {field}")
    sunday_night = datetime(2026, 11, 22, 23, tzinfo=UTC)
    found = [each for each in following(schedule, sunday_night, 7) if each < sunday_night + timedelta(days=7, hours=2)]
    assert [each.strftime("%a") for each in found][: len(days)] == days


def test_an_interval_counts_from_the_last_run() -> None:
    schedule = Schedule(every="15m")
    assert schedule.after(MONDAY) == MONDAY + timedelta(minutes=15)
    assert schedule.due(MONDAY, MONDAY + timedelta(hours=2), MONDAY) == MONDAY + timedelta(minutes=15)


DAYS_LATER = MONDAY + timedelta(days=3)
DAILY: dict[str, Any] = {"cron": "0 6 * * *"}


def test_times_that_were_missed_are_made_up_for_once() -> None:
    schedule = Schedule(**DAILY)
    assert schedule.catch_up == "once"
    assert schedule.due(MONDAY, DAYS_LATER, DAYS_LATER) <= DAYS_LATER
    assert schedule.due(DAYS_LATER, DAYS_LATER, DAYS_LATER) == datetime(2026, 11, 27, 6, tzinfo=UTC)


def test_times_that_were_missed_can_be_left_out() -> None:
    schedule = Schedule(**DAILY, catch_up="skip")
    assert schedule.due(MONDAY, DAYS_LATER, DAYS_LATER) == datetime(2026, 11, 27, 6, tzinfo=UTC)
    at_six = datetime(2026, 11, 24, 6, tzinfo=UTC)
    assert schedule.due(MONDAY, DAYS_LATER, at_six) == at_six, "who came at the time has not missed it"
    assert schedule.due(MONDAY, DAYS_LATER, at_six + timedelta(seconds=1)) == at_six + timedelta(days=1)


def test_the_control_who_was_there_misses_nothing_however_late_it_looks() -> None:
    a_moment_late = datetime(2026, 11, 24, 6, 0, 1, tzinfo=UTC)
    assert Schedule(**DAILY, catch_up="skip").due(MONDAY, a_moment_late, MONDAY) < a_moment_late


def test_intervals_that_were_missed_leave_the_others_where_they_are() -> None:
    schedule = Schedule(every="6h", catch_up="skip")
    came = MONDAY + timedelta(hours=13)
    assert schedule.due(MONDAY, came, came) == MONDAY + timedelta(hours=18)
    again = came + timedelta(hours=1)
    assert schedule.due(MONDAY, again, again) == MONDAY + timedelta(hours=18), "restarts do not put it off"


@pytest.mark.parametrize(("written", "meant"), [(True, "once"), (False, "skip"), ("skip", "skip")])
def test_what_was_a_yes_or_no_is_still_read(written: Any, meant: str) -> None:
    assert Schedule(**DAILY, catch_up=written).catch_up == meant


def test_what_was_never_read_is_due_at_once() -> None:
    assert Schedule(cron="0 6 1 1 *").due(None, MONDAY, MONDAY) == MONDAY


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "either `cron` or `every`"),
        ({"cron": "0 6 * * *", "every": "1h"}, "either `cron` or `every`"),
        ({"every": "1 hour"}, "such as `15m`"),
        ({"every": "0m"}, "such as `15m`"),
        ({"cron": "0 6 * *"}, "five fields"),
        ({"cron": "61 6 * * *"}, "61"),
        ({"cron": "0 6 1 * 1"}, "either days of the month or days of the week"),
        ({"cron": "0 6 * * 8"}, "from 0 to 7"),
        ({"cron": "0 6 * * someday"}, "from 0 to 7"),
        ({"cron": "0 6 ? * *"}, "numbers"),
        ({"cron": "0 6 * * *", "timezone": "Zurich"}, "IANA"),
    ],
)
def test_what_is_no_time_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Schedule(**settings)
