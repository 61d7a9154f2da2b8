"""How far a stream has been read: the position of the `airbyte` connector, and which rows it has not read yet.

A stream has a state, which moves when a slice of it (a window of time, a parent's children) is done. Reading on from a state
gives again: rows at its border, which the server is asked for once more; and rows that were read since. Of the former,
fingerprints are kept. The latter are counted, with a fingerprint of all of them: when they come again, in the same order, they
are passed over, and when others come in their place, all of them are rows again.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from headrace.errors import Fatal
from services.ingest.connectors.rest.progress import Fingerprint
from services.ingest.core.json_text import json_text, strict_json

MOST_AT_BORDER: Final = 10_000

Border = tuple[Any, Mapping[str, int]]
"""The largest cursor that was read, as a state has it, and the fingerprints of the rows that have it, with how many each."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stream has been read. `borders` are those at `state`, by part; `done` rows, with the fingerprint `seen`, follow.

    A part is what has a cursor of its own: the whole stream, or the children of one parent.
    """

    state: Mapping[str, Any] | None = None
    borders: Mapping[str, Border] = field(default_factory=dict)
    done: int = 0
    seen: str = ""
    ended: bool = False

    def to_json(self) -> str:
        """The text `from_json` reads: what differs from nothing."""
        return json_text({name: value for name, value in asdict(self).items() if value})

    @classmethod
    def from_json(cls, text: str | None) -> "Progress":
        """The progress in `text`; the very beginning when there is none."""
        if not text:
            return cls()
        found = strict_json(text)
        borders = {part: (cursor, rows) for part, (cursor, rows) in found.pop("borders", {}).items()}
        return cls(**found, borders=borders)


class Borders:
    """Tells rows that were read at a border from new ones, and follows the borders of what is read. `rank` orders cursors."""

    def __init__(self, before: Mapping[str, Border], rank: Callable[[Any], Any]) -> None:
        self._rank = rank
        self._left = {part: Counter(rows) for part, (_, rows) in before.items()}
        self._now = {part: (cursor, rank(cursor), Counter(rows)) for part, (cursor, rows) in before.items()}

    def repeats(self, part: str, mark: str, cursor: Any) -> bool:
        """Whether a row with this fingerprint was read at the border before. If not, its cursor may be the new border."""
        left = self._left.get(part)
        if left is not None and left[mark] > 0:
            left[mark] -= 1
            return True
        if cursor is not None:
            now = self._now.get(part)
            rank = now[1] if now is not None and now[0] == cursor else self._rank(cursor)
            if now is None or rank > now[1]:
                self._now[part] = (cursor, rank, Counter({mark: 1}))
            elif rank == now[1]:
                now[2][mark] += 1
        return False

    def kept(self) -> dict[str, Border]:
        """The borders of all that was read. Errors: Fatal when too many rows are at them."""
        if sum(rows.total() for _, _, rows in self._now.values()) > MOST_AT_BORDER:
            raise Fatal(
                f"more than {MOST_AT_BORDER} rows are the last by their cursor, too many to tell apart from later ones: choose a "
                "finer cursor_field or cursor_datetime_formats in the manifest, or fewer parents (global_substream_cursor)"
            )
        return {part: (cursor, dict(rows)) for part, (cursor, _, rows) in self._now.items()}


class Otherwise(Exception):
    """What was read since the state does not come again as it was."""


class Reading:
    """One reading of a stream, from the state of `before` on. `rank` orders cursors."""

    def __init__(self, before: Progress, rank: Callable[[Any], Any]) -> None:
        self._at = before
        self._borders = Borders(before.borders, rank)
        self._done = 0
        self._read = Fingerprint()

    def is_new(self, part: str, line: bytes, cursor: Any) -> bool:
        """Whether the next row was not read before. Errors: Otherwise when those that were are not what comes."""
        if self._borders.repeats(part, Fingerprint([line]).text, cursor):
            return False
        self._read.add([line])
        self._done += 1
        if self._done == self._at.done and self._read.text != self._at.seen:
            raise Otherwise
        return self._done > self._at.done

    @property
    def passes_over(self) -> bool:
        """Whether rows that were read are still to come."""
        return self._done < self._at.done

    @property
    def progress(self) -> Progress:
        """How far that is. Not while it passes over rows."""
        at = self._at
        return Progress(at.state, at.borders, self._done, self._read.text if self._done else "")

    def reached(self, state: Mapping[str, Any], *, whole: bool = False) -> None:
        """The stream is in this state once all rows so far are published; `whole` when it has no more."""
        if whole and self.passes_over:
            raise Otherwise
        if not self.passes_over and (whole or state != self._at.state):
            self._at = Progress(state, self._borders.kept())
            self._done, self._read = 0, Fingerprint()
