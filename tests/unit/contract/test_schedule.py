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
    assert schedule.due(MONDAY, MONDAY + timedelta(hours=2)) == MONDAY + timedelta(minutes=15)


def test_what_was_missed_is_made_up_for_once_or_not_at_all() -> None:
    days_later = MONDAY + timedelta(days=3)
    daily: dict[str, Any] = {"cron": "0 6 * * *"}
    due = Schedule(**daily).due(MONDAY, days_later)
    assert due <= days_later
    assert Schedule(**daily).due(days_later, days_later) > days_later
    assert Schedule(**daily, catch_up=False).due(MONDAY, days_later) > days_later


def test_what_was_never_read_is_due_at_once() -> None:
    assert Schedule(cron="0 6 1 1 *").due(None, MONDAY) == MONDAY


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
