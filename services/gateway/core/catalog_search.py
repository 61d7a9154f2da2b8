"""Decides which datasets a search finds, in which order, and how many there are of each kind.

A set of datasets is a whole number with a bit for each: sets of thousands are united and counted in microseconds.
"""

import re
import unicodedata
from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator, Mapping
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
_MOST_ALIKE: Final = 20
_WHOLE_NAME: Final = 100.0
_MOST_WORDS: Final = 12

#: Datasets, as bits.
Mask = int
#: How well datasets fit: those with each score.
Scored = dict[float, Mask]


def words(text: str) -> list[str]:
    """The words of a text as they are compared: lower case, without accents, the parts of snake_case and camelCase apart."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return _WORD.findall(_CAMEL.sub(" ", text).lower())


class SearchIndex:
    """Which words stand in which entries. Not safe between threads: whoever shares it takes turns."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}  # of each entry, which bit it is
        self._names: dict[int, str] = {}
        self._free: list[int] = []
        self._found: dict[str, Scored] = {}  # by word: where it counts how much
        self._vocabulary: list[str] = []  # the same words, in order
        self._texts: dict[str, Mapping[str, float]] = {}  # by entry: how much each of its words counts
        self._facets: dict[str, dict[str, Mask]] = {}
        self._values: dict[str, Collection[tuple[str, str]]] = {}

    def put(self, entry: CatalogEntry, observed: Iterable[str] = (), notes: Iterable[str] = ()) -> None:
        """Take an entry in, in place of the one with its name. `observed` are columns its rows have beside the declared ones."""
        self.drop(entry.name)
        place = self._free.pop() if self._free else len(self._places)
        self._places[entry.name], self._names[place] = place, entry.name
        weights: dict[str, float] = {}
        for weight, text in _texts(entry, observed, notes):
            for word in words(text):
                if weight > weights.get(word, 0.0):
                    weights[word] = weight
        for word, weight in weights.items():
            if (found := self._found.get(word)) is None:
                found = self._found[word] = {}
                insort(self._vocabulary, word)
            found[weight] = found.get(weight, 0) | 1 << place
        self._texts[entry.name] = weights
        self._values[entry.name] = tuple(_facets(entry))
        for facet, value in self._values[entry.name]:
            of = self._facets.setdefault(facet, {})
            of[value] = of.get(value, 0) | 1 << place

    def drop(self, name: str) -> None:
        """Forget an entry."""
        if name not in self._places:
            return
        place = self._places.pop(name)
        del self._names[place]
        self._free.append(place)
        for word, weight in self._texts.pop(name).items():
            self._found[word][weight] &= ~(1 << place)
        for facet, value in self._values.pop(name):
            self._facets[facet][value] &= ~(1 << place)

    def mask(self, names: Iterable[str]) -> Mask:
        """Those of these names that there are."""
        found = 0
        for name in names:
            if (place := self._places.get(name)) is not None:
                found |= 1 << place
        return found

    def names(self, mask: Mask) -> list[str]:
        """The names of some entries, in no order."""
        bits = bin(mask)[:1:-1]
        found, at = [], bits.find("1")
        while at >= 0:
            found.append(self._names[at])
            at = bits.find("1", at + 1)
        return found

    def facets(self) -> Mapping[str, Mapping[str, Mask]]:
        """Those with each value of each facet, as far as their files tell."""
        return self._facets

    def find(self, query: str, visible: Mask) -> Scored:
        """The visible entries that have every word of a query, or words that begin so, by how well they fit.

        A word that none of them has stands for those that are written almost so.
        """
        found: Scored = {}
        for at, word in enumerate(dict.fromkeys(words(query)[:_MOST_WORDS])):
            fitting = self._fitting(word, visible) or self._alike(word, visible)
            found = _both(found, fitting) if at else fitting
        whole = self.mask([query.strip().lower()])
        for score in [score for score, mask in found.items() if mask & whole]:
            found[score] &= ~whole
            found[score + _WHOLE_NAME] = whole
        return {score: mask for score, mask in found.items() if mask}

    def _fitting(self, word: str, visible: Mask) -> Scored:
        shares = ((each, 1.0 if each == word else _BEGINNING) for each in self._beginning_with(word))
        return self._best(shares, visible)

    def _alike(self, word: str, visible: Mask) -> Scored:
        close = process.extract(word, self._vocabulary, scorer=fuzz.ratio, score_cutoff=_LEAST_ALIKE, limit=_MOST_ALIKE)
        return self._best(((each, _ALIKE) for each, _, _ in close), visible)

    def _best(self, shares: Iterable[tuple[str, float]], visible: Mask) -> Scored:
        """The visible entries with any of some words, each by the best of what it has."""
        scored: Scored = {}
        for each, share in shares:
            for weight, mask in self._found[each].items():
                scored[weight * share] = scored.get(weight * share, 0) | mask
        best: Scored = {}
        for score in sorted(scored, reverse=True):
            if fitting := scored[score] & visible:
                best[score] = fitting
                visible &= ~fitting
        return best

    def _beginning_with(self, word: str) -> Iterator[str]:
        for at in range(bisect_left(self._vocabulary, word), len(self._vocabulary)):
            if not self._vocabulary[at].startswith(word):
                return
            yield self._vocabulary[at]


def _both(one: Scored, other: Scored) -> Scored:
    found: Scored = {}
    for score, mask in one.items():
        for more, fitting in other.items():
            if both := mask & fitting:
                found[score + more] = found.get(score + more, 0) | both
    return found


def _texts(entry: CatalogEntry, observed: Iterable[str], notes: Iterable[str]) -> Iterator[tuple[float, str]]:
    columns = entry.columns
    yield _NAME, entry.name
    yield _TAG, " ".join(entry.tags)
    yield _COLUMN, " ".join((*(column.name for column in columns), *observed))
    yield _OWNER, " ".join((entry.owner, *entry.people))
    yield _TEXT, " ".join((entry.description, *notes))
    yield _COLUMN_TEXT, " ".join(" ".join((column.description, *column.tags)) for column in columns)


def _facets(entry: CatalogEntry) -> Iterator[tuple[str, str]]:
    yield "domain", entry.domain
    yield "owner", entry.owner
    yield "classification", entry.classification
    yield from (("tag", tag) for tag in dict.fromkeys(entry.tags))


def faceted(
    mask: Mask, facets: Mapping[str, Mapping[str, Mask]], wanted: Mapping[str, Collection[str]]
) -> tuple[Mask, dict[str, dict[str, int]]]:
    """Those entries that have one of the wanted values of each facet, and how many there are of each value.

    A facet counts what there would be if nothing was wanted of it: so one sees what else there is to choose.
    """
    allowed = {facet: _any(facets.get(facet, {}), values) for facet, values in wanted.items() if values}
    counts = {}
    for facet, values in facets.items():
        others = mask
        for other, those in allowed.items():
            others &= those if other != facet else others
        counts[facet] = {value: count for value, those in values.items() if (count := (others & those).bit_count())}
    for those in allowed.values():
        mask &= those
    return mask, counts


def _any(masks: Mapping[str, Mask], values: Collection[str]) -> Mask:
    found = 0
    for value in values:
        found |= masks.get(value, 0)
    return found
