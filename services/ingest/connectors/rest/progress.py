"""How far an API has been read: the position of the `rest` connector, and which records it has not read yet.

A run reads page after page with one parameter that asks for records from a value on, so that their order does not matter. At its
end the largest value seen becomes the next run's. Records with that very value are asked for again, for there may be
further ones by then; of those that were read, fingerprints are kept.
"""

import re
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final, Literal

from headrace.errors import Fatal
from services.ingest.connectors.rest.pagination import Place
from services.ingest.core.json_text import Number, json_text, strict_json

MOST_AT_BORDER: Final = 10_000
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d([T ].+)?")

Value = Any
"""What a record has in its cursor: a text or a number, as it was written."""
Rank = Decimal | datetime | str
Kind = Literal["number", "time", "text"]
KINDS: Final[tuple[Kind, ...]] = ("number", "time", "text")


class Fingerprint:
    """A short fingerprint of records."""

    def __init__(self, lines: Iterable[bytes] = ()) -> None:
        self._found = blake2b(digest_size=8)
        self.add(lines)

    def add(self, lines: Iterable[bytes]) -> None:
        """Further records."""
        for line in lines:
            self._found.update(len(line).to_bytes(8, "big") + line)

    @property
    def text(self) -> str:
        """That of all records so far."""
        return urlsafe_b64encode(self._found.digest()).decode().rstrip("=")


def rank(value: Value, kind: Kind) -> Rank | None:
    """What a cursor is compared by: a number, an instant or a text; None when it is not of that kind."""
    if isinstance(value, bool) or not isinstance(value, str | int | Number):
        return None
    text = text_of(value)
    if kind == "number":
        return Decimal(text) if _NUMBER.fullmatch(text) else None
    if kind == "text":
        return text
    try:
        at = datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        return None
    return at and at.replace(tzinfo=at.tzinfo or UTC)


def kind_of(values: Iterable[Value]) -> Kind | None:
    """The first kind that every value that can be compared is of; None when there is no such value."""
    placed = [value for value in values if rank(value, "text") is not None]
    kinds = (kind for kind in KINDS if all(rank(value, kind) is not None for value in placed))
    return next(kinds) if placed else None


def text_of(value: Value) -> str:
    """A cursor as a query parameter has it: as it was written."""
    return value.text if isinstance(value, Number) else str(value)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an API has been read.

    `place` is that of the page that is being read, None when no run is under way; the first `done` records of it, with the
    fingerprint `seen`, have been read. `since` is what the run asks from; `left` are the fingerprints of records with that
    value that were read by earlier runs and not yet met in this one. `high` is the largest value seen in it, `met` are the
    records with that value. `odd` are those without a value. `kind` is what values are compared as.
    """

    place: Place | None = None
    done: int = 0
    seen: str = ""
    ended: bool = False
    since: Value = None
    left: Mapping[str, int] = field(default_factory=dict)
    high: Value = None
    met: Mapping[str, int] = field(default_factory=dict)
    odd: frozenset[str] = frozenset()
    kind: Kind | None = None

    def to_json(self) -> str:
        """The text `from_json` reads: what differs from nothing."""
        entries = {
            "place": self.place,
            "done": self.done,
            "seen": self.seen,
            "ended": self.ended,
            "since": self.since,
            "left": dict(self.left),
            "high": self.high,
            "met": dict(self.met),
            "odd": sorted(self.odd),
            "kind": self.kind,
        }
        return json_text(
            {
                name: entry
                for name, entry in entries.items()
                if entry is not None and (entry or name in ("place", "since", "high"))
            }
        )

    @classmethod
    def from_json(cls, text: str | None) -> "Progress":
        """The progress in `text`; the very beginning when there is none."""
        if not text:
            return cls()
        found = strict_json(text)
        return cls(**{**found, "odd": frozenset(found.get("odd", ()))})

    def begun(self, start: Value, first: Place) -> "Progress":
        """This progress with a run under way."""
        if self.place is not None:
            return self
        since = start if self.since is None else self.since
        return replace(self, place=first, since=since, high=since, met={})

    def at(self, place: Place, done: int = 0, seen: str = "") -> "Progress":
        """This progress at a place in the run."""
        return replace(self, place=place, done=done, seen=seen)

    def finished(self, incremental: bool) -> "Progress":
        """This progress behind the last page of a run. What was not met may still be there: some servers leave it out."""
        if not incremental:
            return Progress(ended=True)
        kind = self.kind or "text"
        same = rank(self.high, kind) == rank(self.since, kind)
        border = Counter(self.met) + Counter(self.left if same else {})
        return Progress(since=self.high, left=dict(border), odd=self.odd, kind=self.kind)


@dataclass(frozen=True, slots=True)
class Sorted:
    """Which records of a page are new, by number, and which of these have no value to be read by."""

    progress: Progress
    fresh: Sequence[int]
    odd: Sequence[int]


def sort_out(progress: Progress, values: Sequence[Value], lines: Sequence[bytes]) -> Sorted:
    """The records that earlier runs have not read. `values` are their cursors. Errors: Fatal when too many have the same."""
    left, met, odd = Counter(progress.left), Counter(progress.met), set(progress.odd)
    kind = progress.kind or kind_of([*values, progress.since])
    floor, top = (None if kind is None else rank(value, kind) for value in (progress.since, progress.high))
    high, fresh, placeless = progress.high, [], []
    for number, (value, line) in enumerate(zip(values, lines, strict=True)):
        mark = Fingerprint([line]).text
        at: Any = None if kind is None else rank(value, kind)
        if at is None:
            if mark not in odd:
                odd.add(mark)
                placeless.append(number)
            continue
        if floor is not None and at < floor:
            continue
        if at == floor and left[mark] > 0:
            left[mark] -= 1
        else:
            fresh.append(number)
        if top is None or at > top:
            high, top, met = value, at, Counter({mark: 1})
        elif at == top:
            met[mark] += 1
            high = min(high, value, key=text_of)  # equal instants may be written in two ways, or finer than is compared
    if max(met.total() + left.total(), len(odd)) > MOST_AT_BORDER:
        raise Fatal(
            f"more than {MOST_AT_BORDER} records have the same cursor {str(high)[:60]!r} or none, too many to tell apart from "
            "later ones; choose a finer source.incremental.field"
        )
    after = replace(progress, left=dict(+left), high=high, met=dict(met), odd=frozenset(odd), kind=kind)
    return Sorted(after, fresh, placeless)
