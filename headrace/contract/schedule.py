"""When a source is read that does not go on by itself: at times of a clock, or every so often."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from apscheduler.triggers.cron import CronTrigger
from pydantic import Field as Setting
from pydantic import field_validator, model_validator

from headrace.contract.section import Section

_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_EVERY: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_FIELDS: Final = 5
_INSTANT: Final = timedelta(microseconds=1)


class Schedule(Section):
    """When a source is read. Without one, it is looked at for more all the time."""

    cron: str | None = Setting(
        None,
        description="At these times: minute, hour, day of the month, month, day of the week (0 or 7 is Sunday), such as "
        "`30 6 * * 1-5`. Either days of the month or days of the week can be given.",
    )
    every: str | None = Setting(None, description="This often: a number and `s`, `m`, `h` or `d`, such as `15m`.")
    trigger: Literal["upstream"] | None = Setting(
        None,
        description="Of a model: `upstream` runs it when what it reads has changed: rows came, or a run shows. With `every`, not "
        "more often than that.",
    )
    timezone: str = Setting("UTC", description="The time zone of `cron`, such as `Europe/Zurich`.")
    catch_up: Literal["once", "skip"] = Setting(
        "once",
        description="What becomes of times that passed while ingest was not there, or the source was paused: `once` makes up "
        "for all of them with one reading, at once; `skip` waits for the next time.",
    )

    @field_validator("catch_up", mode="before")
    @classmethod
    def _as_it_was_written_once(cls, value: Any) -> Any:
        """Files that are live may say true or false, as this setting began."""
        return {True: "once", False: "skip"}[value] if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if (self.cron is None) == (self.every is None) and (self.trigger is None or self.cron is not None):
            raise ValueError("either `cron` or `every`")
        if self.trigger is not None and self.cron is not None:
            raise ValueError("no `trigger` beside `cron`: either times of a clock, or what is read has changed")
        if self.every is not None and not _EVERY.fullmatch(self.every):
            raise ValueError("a number and `s`, `m`, `h` or `d` as `every`, such as `15m`")
        if self.timezone not in available_timezones():
            raise ValueError("a `timezone` by its name in the IANA database, such as `Europe/Zurich`")
        if self.cron is not None:
            self._trigger  # noqa: B018  # is read to see whether it can be
        return self

    @cached_property
    def _trigger(self) -> Any:
        return CronTrigger(**_cron(self.cron or ""), timezone=ZoneInfo(self.timezone))

    def after(self, moment: datetime) -> datetime:
        """The next time after `moment`, which has a zone; in UTC. `every` counts from `moment`.

        An hour that comes twice, as clocks are put back, has the runs of a certain hour once, those of every hour twice.
        """
        if self.every is not None:
            return moment.astimezone(UTC) + self._interval
        zone, hourly = ZoneInfo(self.timezone), "*" in (self.cron or "").split()[1]
        begun = moment.astimezone(zone).replace(tzinfo=None)
        instant: datetime = moment.astimezone(UTC)
        # A microsecond is added in UTC: in a zone, that would forget which of two hours it is.
        while following := self._trigger.get_next_fire_time(None, (instant + _INSTANT).astimezone(zone)):
            instant = following.astimezone(UTC)
            if hourly or not following.fold or following.replace(tzinfo=None) > begun:
                return instant
        return datetime.max.replace(tzinfo=UTC)

    def due(self, last: datetime | None, now: datetime, there_since: datetime) -> datetime:
        """When it is to be read next, `last` having been begun: now or before when it is time. Never read: at once.

        With a `trigger` alone, that is at any time.
        `there_since` is since when somebody is there to read: earlier times were missed; `catch_up` says what becomes of them.
        """
        if last is None or (self.every is None and self.cron is None):
            return now
        following = self.after(last)
        if self.catch_up == "once" or following >= there_since:
            return following
        if self.every is None:
            return self.after(there_since - _INSTANT)
        missed = -((last - there_since) // self._interval)
        return last.astimezone(UTC) + missed * self._interval

    @property
    def _interval(self) -> timedelta:
        found = _EVERY.fullmatch(self.every or "")
        assert found is not None
        return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _cron(text: str) -> dict[str, str]:
    """The fields of a cron line as APScheduler takes them: its numbers of weekdays are others. Errors: ValueError."""
    fields = text.split()
    if len(fields) != _FIELDS:
        raise ValueError(
            f"five fields in `cron`, not {len(fields)}: minute, hour, day of the month, month, day of the week"
        )
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise ValueError("either days of the month or days of the week in `cron`, the other being `*`")
    week = weekday if weekday == "*" else ",".join(dict.fromkeys(_weekdays(weekday.lower())))
    named = {"minute": minute, "hour": hour, "day": day, "month": month, "day_of_week": week}
    for name, field in named.items():
        if not re.fullmatch(r"[0-9A-Za-z*,/-]+", field):
            raise ValueError(f"numbers, `*`, `,`, `-` and `/` as {name.replace('_', ' ')} in `cron`, not {field!r}")
    return named


def _weekdays(field: str) -> Iterator[str]:
    """The names of the days that a field of a cron line speaks of. Errors: ValueError."""
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        start = 0 if span == "*" else _weekday(first)
        stop = 6 if span == "*" or (step and not dash) else _weekday(last) if dash else start
        stop += 7 if stop < start else 0
        for number in range(start, stop + 1, int(step) if step.isdigit() and int(step) else 1):
            yield _DAYS[number % 7]


def _weekday(text: str) -> int:
    if text in _DAYS:
        return _DAYS.index(text)
    if text.isdigit() and int(text) <= 7:
        return int(text)
    raise ValueError(f"days of the week from 0 to 7 or as SUN, MON ... in `cron`, not {text!r}")
