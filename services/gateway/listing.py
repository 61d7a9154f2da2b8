"""Decides what somebody finds in the catalog: what is listed is kept in memory, and read anew where it has changed."""

import threading
import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Final, Literal, NamedTuple

from headrace.access.policy import Access, Action
from services.gateway.adapters.catalog_reader import CatalogReader, Head, Stamp
from services.gateway.core.catalog_entry import CatalogEntry
from services.gateway.core.catalog_search import Mask, SearchIndex, faceted
from services.gateway.core.catalog_state import Facts, Freshness, State

FACTS_KEPT_S: Final = 5.0
USED_DAYS: Final = 30
_MOST_CALLERS: Final = 256
_MOST_FOUND: Final = 64

Sort = Literal["relevance", "name", "changed", "used"]
FACETS: Final = ("domain", "owner", "tag", "classification", "state", "freshness")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody looks for. `facets`: which values each may have; `among`: only these, where given."""

    words: str = ""
    facets: tuple[tuple[str, tuple[str, ...]], ...] = ()
    sort: Sort = "relevance"
    among: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A dataset with what goes on in it."""

    entry: CatalogEntry
    state: State
    freshness: Freshness
    last_loaded_at: datetime | None
    queries: int


#: Where a dataset stands in an order: pages go on behind it, whatever came or went meanwhile.
Rank = tuple[float, str]


@dataclass(frozen=True, slots=True)
class Found:
    """A page of what was found. `after` is the rank of its last one, if there are more."""

    items: Sequence[Listed]
    total: int
    facets: Mapping[str, Mapping[str, int]]
    after: Rank | None


class _Seen(NamedTuple):
    names: frozenset[str]
    mask: Mask


_Ranked = tuple[list[Rank], dict[str, dict[str, int]]]


class Listing:
    """What is listed. Each gateway keeps its own; safe to share between threads. Errors: those of the database."""

    def __init__(
        self, reader: CatalogReader, clock: Callable[[], float] = time.monotonic, facts_kept_s: float = FACTS_KEPT_S
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._facts_kept_s = facts_kept_s
        self._turn = threading.RLock()
        self._stamp: Stamp | None = None
        self._heads: dict[str, Head] = {}
        self._entries: dict[str, CatalogEntry] = {}
        self._index = SearchIndex()
        self._facets: Mapping[str, Mapping[str, Mask]] = {}
        self._visible: OrderedDict[Access, _Seen] = OrderedDict()
        self._found: OrderedDict[tuple[Access, Wanted], _Ranked] = OrderedDict()
        self._facts = Facts()
        self._facts_at: float | None = None
        self._observed: Mapping[tuple[str, int], Sequence[str]] = {}
        self._observed_number = 0
        self._notes: Mapping[str, Sequence[str]] = {}

    def find(self, access: Access, wanted: Wanted, limit: int, after: Rank | None, now: datetime) -> Found:
        """A page of the datasets that somebody may see and that they look for."""
        with self._current(now):
            ranks, counts = self._ranked(access, wanted)
            begin = 0 if after is None else bisect_right(ranks, after)
            page = ranks[begin : begin + limit]
            items = [self._listed(self._entries[name], now) for _, name in page]
            return Found(items, len(ranks), counts, page[-1] if begin + limit < len(ranks) else None)

    def get(self, access: Access, name: str, now: datetime) -> Listed | None:
        """One dataset; None when there is none, or none that they may see."""
        with self._current(now):
            return self._listed(self._entries[name], now) if name in self._seen(access).names else None

    def entries(self) -> Mapping[str, CatalogEntry]:
        """Every dataset, whoever may see it."""
        with self._current(datetime.now(UTC)):
            return dict(self._entries)

    def hides(self, access: Access) -> Callable[[str], bool]:
        """Tells of a name whether it is that of a dataset which somebody may not see."""
        with self._current(datetime.now(UTC)):
            visible, known = self._seen(access).names, frozenset(self._entries)
        return lambda name: name in known and name not in visible

    def observed(self, entry: CatalogEntry) -> Sequence[str]:
        """The columns that its rows have, as far as they were profiled."""
        with self._current(datetime.now(UTC)):
            return self._observed.get((entry.name, entry.generation), ())

    @contextmanager
    def _current(self, now: datetime) -> Iterator[None]:
        with self._turn:
            changed, moved = self._refresh(), self._refresh_facts(now)
            if changed or moved:
                self._found.clear()
                self._facets = self._going_on(now)
            yield

    def _refresh(self) -> bool:
        stamp = self._reader.stamp()  # first: what changes from here on is seen the next time
        if stamp == self._stamp:
            return False
        heads, notes = self._reader.heads(), self._reader.notes()
        changed = [name for name, head in heads.items() if self._heads.get(name) != head]
        noted = {name for name in {*notes, *self._notes} if notes.get(name) != self._notes.get(name)}
        entries = self._reader.entries(changed)  # all that is read comes before anything is changed: it may fail
        self._notes = notes
        self._visible.clear()  # here, as what is read next may fail: places of entries are given to others
        for name in self._heads.keys() - heads.keys():
            self._index.drop(name)
            del self._entries[name]
        for entry in entries:
            self._entries[entry.name] = entry
        self._index_anew({*changed, *noted})
        self._heads, self._stamp = heads, stamp
        return True

    def _refresh_facts(self, now: datetime) -> bool:
        at = self._clock()
        if self._facts_at is not None and at - self._facts_at < self._facts_kept_s:
            return False
        self._facts = self._reader.facts((now - timedelta(days=USED_DAYS)).date())
        if (number := self._reader.observed_number()) != self._observed_number:
            before, self._observed = self._observed, self._reader.observed()
            self._observed_number = number
            keys = {*before, *self._observed}
            self._index_anew({name for name, of in keys if before.get((name, of)) != self._observed.get((name, of))})
        self._facts_at = at
        return True

    def _index_anew(self, names: Collection[str]) -> None:
        for name in names:
            if (entry := self._entries.get(name)) is not None:
                self._index.put(entry, self._observed.get((name, entry.generation), ()), self._notes.get(name, ()))

    def _going_on(self, now: datetime) -> dict[str, dict[str, Mask]]:
        """The facets that no file tells."""
        states: dict[str, list[str]] = {}
        ages: dict[str, list[str]] = {}
        for entry in self._entries.values():
            states.setdefault(self._facts.state(entry), []).append(entry.name)
            ages.setdefault(self._facts.freshness(entry, now), []).append(entry.name)
        told = {"state": states, "freshness": ages}
        return {facet: {value: self._index.mask(names) for value, names in of.items()} for facet, of in told.items()}

    def _seen(self, access: Access) -> "_Seen":
        if (seen := self._visible.get(access)) is not None:
            self._visible.move_to_end(access)
            return seen
        names = frozenset(name for name, entry in self._entries.items() if access.may(Action.SEE, entry.asset))
        seen = self._visible[access] = _Seen(names, self._index.mask(names))
        if len(self._visible) > _MOST_CALLERS:
            self._visible.popitem(last=False)
        return seen

    def _ranked(self, access: Access, wanted: Wanted) -> "_Ranked":
        key = (access, wanted)
        if (known := self._found.get(key)) is not None:
            self._found.move_to_end(key)
            return known
        mask = self._seen(access).mask
        if wanted.among is not None:
            mask &= self._index.mask(wanted.among)
        scores = self._index.find(wanted.words, mask) if wanted.words.strip() else {0.0: mask}
        matching = reduce(or_, scores.values(), 0)
        kept, counts = faceted(matching, {**self._index.facets(), **self._facets}, dict(wanted.facets))
        ranks = sorted(
            (self._rank(name, wanted.sort, score), name)
            for score, those in scores.items()
            for name in self._index.names(those & kept)
        )
        self._found[key] = ranks, counts
        if len(self._found) > _MOST_FOUND:
            self._found.popitem(last=False)
        return ranks, counts

    def _rank(self, name: str, sort: Sort, score: float) -> float:
        match sort:
            case "relevance":
                return -score
            case "changed":
                return -self._entries[name].changed_at.timestamp()
            case "used":
                return -float(self._facts.queries.get(name, 0))
            case "name":
                return 0.0

    def _listed(self, entry: CatalogEntry, now: datetime) -> Listed:
        return Listed(
            entry,
            self._facts.state(entry),
            self._facts.freshness(entry, now),
            self._facts.last_loaded_at(entry),
            self._facts.queries.get(entry.name, 0),
        )
