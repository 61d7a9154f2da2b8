"""Decides how what the audit log has of an act reads as one, and where a page of acts goes on."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from headrace.audit import Entry

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLACE: Final = re.compile(r"(-?\d{1,18})/(.{1,200})/(\d{1,18})", re.DOTALL)
UNKNOWN: Final = "unknown"


class Place(NamedTuple):
    """Where an act stands among all, by time."""

    at_us: int
    writer: str
    seq: int


@dataclass(frozen=True, slots=True)
class AuditedAct:
    """What somebody did: its first entry, and how it ended, if that is known."""

    first: Entry
    ended: Entry | None

    @property
    def outcome(self) -> str:
        """`unknown` when there is no end: it goes on, or its gateway died before the end was written."""
        last = self.ended or self.first
        return UNKNOWN if last.phase == "begun" else last.outcome

    @property
    def datasets(self) -> list[str]:
        """Which datasets it was about, as far as that was known in the end."""
        found = _read((self.ended or self.first).datasets)
        return [str(each) for each in found] if isinstance(found, list) else []

    @property
    def details(self) -> dict[str, Any]:
        """What was asked for, and what was told of it."""
        found = [_read(entry.details) for entry in (self.first, self.ended) if entry is not None]
        return {name: value for each in found if isinstance(each, dict) for name, value in each.items()}

    @property
    def place(self) -> Place:
        return Place(self.first.at_us, self.first.writer, self.first.seq)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which acts are asked for. Units: `since_us` (inclusive) and `until_us` (exclusive) microseconds since 1970."""

    actor: str | None = None
    action: str | None = None
    dataset: str | None = None
    outcome: str | None = None
    text: str | None = None
    since_us: int | None = None
    until_us: int | None = None


def _read(text: str) -> Any:
    """What the database has, whoever wrote it."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def moment_of(at_us: int) -> datetime:
    """The moment, in UTC."""
    return _EPOCH + timedelta(microseconds=at_us)


def microseconds(at: datetime | None) -> int | None:
    """The inverse."""
    return None if at is None else (at - _EPOCH) // timedelta(microseconds=1)


def cursor_of(place: Place) -> str:
    """Text that names a place, for a client to send back."""
    return urlsafe_b64encode(f"{place.at_us}/{place.writer}/{place.seq}".encode()).decode().rstrip("=")


def place_of(cursor: str) -> Place | None:
    """The inverse; None when it is none."""
    try:
        told = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (NoBase64, ValueError):
        return None
    found = _PLACE.fullmatch(told)
    return Place(int(found[1]), found[2], int(found[3])) if found and "\0" not in told else None
