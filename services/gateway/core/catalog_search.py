"""Decides which datasets a search finds, in which order, and how many there are of each kind."""

import re
import unicodedata
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

from rapidfuzz import fuzz, process

from services.gateway.core.catalog_entry import CatalogEntry

_WORD: Final = re.compile(r"[^\W_]+")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
#: How much a word counts, by where it stands.
_NAME, _TAG, _COLUMN, _OWNER, _TEXT, _COLUMN_TEXT = 10.0, 6.0, 5.0, 4.0, 2.0, 1.0
_BEGINNING: Final = 0.6  # of a word, in place of all of it
_ALIKE: Final = 0.3  # a word that is written almost so
_LEAST_ALIKE: Final = 80.0
_WHOLE_NAME: Final = 100.0
_MOST_WORDS: Final = 12


def words(text: str) -> list[str]:
    """The words of a text as they are compared: lower case, without accents, the parts of snake_case and camelCase apart."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", _CAMEL.sub(" ", text)) if not unicodedata.combining(c))
    return _WORD.findall(plain.lower())


class SearchIndex:
    """Which words stand in which entries. Not safe between threads: whoever shares it takes turns."""

    def __init__(self) -> None:
        self._weights: dict[str, dict[str, float]] = {}  # of each word, by entry
        self._vocabulary: list[str] = []
        self._of: dict[str, Collection[str]] = {}

    def put(self, entry: CatalogEntry, observed: Collection[str] = (), notes: Collection[str] = ()) -> None:
        """Take an entry in, in place of the one with its name. `observed` are columns its rows have beside the declared ones."""
        self.drop(entry.name)
        found: dict[str, float] = {}
        for weight, text in _texts(entry, observed, notes):
            for word in words(text):
                found[word] = max(weight, found.get(word, 0.0))
        for word, weight in found.items():
            if word not in self._weights:
                self._weights[word] = {}
                insort(self._vocabulary, word)
            self._weights[word][entry.name] = weight
        self._of[entry.name] = found.keys()

    def drop(self, name: str) -> None:
        """Forget an entry."""
        for word in self._of.pop(name, ()):
            del self._weights[word][name]

    def find(self, query: str, visible: Collection[str]) -> dict[str, float]:
        """The visible entries that have every word of a query, or words that begin so, with how well they fit.

        A word that none of them has stands for those that are written almost so.
        """
        found: dict[str, float] | None = None
        for word in dict.fromkeys(words(query)[:_MOST_WORDS]):
            fitting = self._fitting(word, visible) or self._alike(word, visible)
            found = (
                fitting
                if found is None
                else {name: score + fitting[name] for name, score in found.items() if name in fitting}
            )
        scores = found or {}
        whole = query.strip().lower()
        return scores if whole not in scores else scores | {whole: scores[whole] + _WHOLE_NAME}

    def _fitting(self, word: str, visible: Collection[str]) -> dict[str, float]:
        scores: dict[str, float] = {}
        for each in self._beginning_with(word):
            share = 1.0 if each == word else _BEGINNING
            _raise(scores, self._weights[each], share, visible)
        return scores

    def _alike(self, word: str, visible: Collection[str]) -> dict[str, float]:
        scores: dict[str, float] = {}
        close = process.extract(word, self._vocabulary, scorer=fuzz.ratio, score_cutoff=_LEAST_ALIKE, limit=20)
        for each, _, _ in close:
            _raise(scores, self._weights[each], _ALIKE, visible)
        return scores

    def _beginning_with(self, word: str) -> Iterator[str]:
        for at in range(bisect_left(self._vocabulary, word), len(self._vocabulary)):
            if not self._vocabulary[at].startswith(word):
                return
            yield self._vocabulary[at]


def _raise(scores: dict[str, float], weights: Mapping[str, float], share: float, visible: Collection[str]) -> None:
    for name, weight in weights.items():
        if name in visible and weight * share > scores.get(name, 0.0):
            scores[name] = weight * share


def _texts(entry: CatalogEntry, observed: Collection[str], notes: Collection[str]) -> Iterator[tuple[float, str]]:
    yield _NAME, entry.name
    yield _TEXT, entry.description
    yield from ((_TAG, tag) for tag in entry.tags)
    yield from ((_OWNER, word) for word in (entry.owner, *entry.people))
    yield from ((_COLUMN, name) for name in observed)
    yield from ((_TEXT, note) for note in notes)
    for column in entry.columns:
        yield _COLUMN, column.name
        yield _COLUMN_TEXT, column.description
        yield from ((_COLUMN_TEXT, tag) for tag in column.tags)


def faceted(
    names: Sequence[str], values: Callable[[str], Mapping[str, Collection[str]]], wanted: Mapping[str, Collection[str]]
) -> tuple[list[str], dict[str, Counter[str]]]:
    """Those entries that have one of the wanted values of each facet, and how many there are of each value.

    A facet counts what there would be if nothing was wanted of it: so one sees what else there is to choose.
    """
    chosen = {facet: frozenset(each) for facet, each in wanted.items() if each}
    counts: dict[str, Counter[str]] = {}
    kept = []
    for name in names:
        own = values(name)
        missed = [facet for facet, each in chosen.items() if each.isdisjoint(own[facet])]
        if not missed:
            kept.append(name)
        if len(missed) > 1:
            continue
        for facet in missed or own:
            counts.setdefault(facet, Counter()).update(own[facet])
    return kept, counts
