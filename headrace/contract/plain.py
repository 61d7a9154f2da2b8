"""How rules look at a document that may be anything: what is there is found, what is not is passed over."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.contract.issue import Issue, Path
from headrace.contract.names import closest


def inside(document: Any, *keys: str) -> Any:
    """What is under these keys, one in the other; None where there is nothing."""
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def text_of(value: Any) -> str | None:
    """The value, if it is text."""
    return value if isinstance(value, str) else None


def items_of(value: Any, path: Path) -> list[tuple[Path, Mapping[str, Any]]]:
    """The mappings of a list, each with its path; others are passed over."""
    rows = value if isinstance(value, list) else []
    return [((*path, i), item) for i, item in enumerate(rows) if isinstance(item, Mapping)]


def texts_of(value: Any, path: Path) -> list[tuple[Path, str]]:
    """The texts of a list, each with its path; others are passed over."""
    rows = value if isinstance(value, list) else []
    return [((*path, i), item) for i, item in enumerate(rows) if isinstance(item, str)]


def article(word: str) -> str:
    """`a` or `an`, as the word has it."""
    return "an" if word[0] in "aeiou" else "a"


def existing(names: Sequence[tuple[Path, str]], columns: Sequence[str] | None) -> Iterator[Issue]:
    """Whether these are names of columns, when they are known, and of none that is the platform\'s."""
    for path, name in names:
        if name.startswith("_"):
            yield Issue(path, repr(name), "a column of the dataset: a leading underscore marks system columns")
        elif columns is not None and name not in columns:
            yield unknown_column(path, name, columns, "a column of the published table")


def unknown_column(path: Path, name: str, columns: Sequence[str], expected: str) -> Issue:
    """That there is no such column, with the one that may be meant."""
    return Issue(path, repr(name), f"{expected} ({', '.join(columns)})", closest(name, columns))


def distinct(names: Sequence[tuple[Path, str]]) -> Iterator[Issue]:
    """Whether each of these names is there once."""
    seen: set[str] = set()
    for path, name in names:
        if name in seen:
            yield Issue(path, f"{name!r} for the second time", "each name once")
        seen.add(name)
