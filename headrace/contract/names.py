"""Which known name a misspelt one was probably meant to be."""

from collections.abc import Iterable

from rapidfuzz import fuzz, process, utils

LIKENESS = 70


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known name most like `word`, or None when none is like it."""
    found = process.extractOne(
        word, [name for name in known if name != word], scorer=fuzz.ratio, processor=utils.default_process,
        score_cutoff=LIKENESS,
    )  # fmt: skip
    return str(found[0]) if found else None


def among(names: Iterable[str], conjunction: str = "or") -> str:
    """The names as a phrase: `a, b or c`."""
    *first, last = names
    return f"{', '.join(first)} {conjunction} {last}" if first else last
