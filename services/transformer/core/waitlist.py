"""Decides which parked rows are taken up again, and when there are too many of them to read on."""

from collections.abc import Collection, Iterable, Set

from headrace.stream.parking import Place, Waiting


class Waitlist:
    """The parked rows of the partitions that are held, by the raw record each was made of."""

    def __init__(self, most_rows: int, most_bytes: int) -> None:
        self._most_rows = most_rows
        self._most_bytes = most_bytes
        self._waiting: dict[Place, Waiting] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether nothing more is to be read until some are released."""
        return len(self._waiting) >= self._most_rows or self._bytes >= self._most_bytes

    @property
    def rows(self) -> Collection[Waiting]:
        """All of them."""
        return self._waiting.values()

    def put(self, rows: Iterable[Waiting]) -> None:
        """Let these wait, each in the place of what was known of it."""
        for row in rows:
            self._take(row.place)
            self._waiting[row.place] = row
            self._bytes += len(row.value)

    def take(self, rows: Iterable[Waiting]) -> None:
        """These do not wait any longer."""
        for row in rows:
            self._take(row.place)

    def due(self, now_ms: int, arrived: Set[Place], most: int) -> list[Waiting]:
        """The rows to take up: whose parent has arrived, or whose time is up; the first so many of them, in raw order."""
        found = [row for row in self._waiting.values() if row.until_ms <= now_ms or row.place in arrived]
        return sorted(found, key=lambda row: row.place)[:most]

    def _take(self, place: Place) -> None:
        if (known := self._waiting.pop(place, None)) is not None:
            self._bytes -= len(known.value)
