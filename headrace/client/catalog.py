"""What the catalog of a gateway can be asked."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from headrace.client.calls import Calls, ResultT
from headrace.client.results.catalog import (
    CatalogDataset,
    CatalogItem,
    CatalogPage,
    CatalogVersion,
    ColumnImpact,
    Lineage,
    Note,
    Sample,
    Thread,
    TierSize,
    Usage,
)


class CatalogCalls:
    """The catalog of one gateway, as `Client.catalog`. Errors: ApiError, Unreachable."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def page(
        self,
        words: str = "",
        *,
        facets: Mapping[str, Sequence[str]] | None = None,
        favourites: bool = False,
        sort: str = "relevance",
        limit: int = 50,
        cursor: str | None = None,
    ) -> CatalogPage:
        """A page of the datasets that you may see. `facets`: the values each may have: domain, owner, tag, ..."""
        asked: dict[str, Any] = {"q": words, "favourites": favourites, "sort": sort, "limit": limit, **(facets or {})}
        return self._read(CatalogPage, "", params=asked | ({"cursor": cursor} if cursor else {}))

    def search(self, words: str = "", **asked: Any) -> Iterator[CatalogItem]:
        """The datasets that were found, of all pages. What can be asked: see `page`."""
        cursor = None
        while True:
            page = self.page(words, **asked, cursor=cursor)
            yield from page.items
            if (cursor := page.next_cursor) is None:
                return

    def dataset(self, name: str) -> CatalogDataset:
        """What there is to know of a dataset."""
        return self._read(CatalogDataset, _path(name))

    def versions(self, name: str, limit: int = 20) -> list[CatalogVersion]:
        """The newest versions of its file, and what each changed."""
        return self._calls.items(CatalogVersion, self._send("GET", _path(name, "versions"), params={"limit": limit}))

    def contract(self, name: str) -> str:
        """Its contract in the Open Data Contract Standard v3, as YAML."""
        return self._send("GET", _path(name, "contract"), params={"format": "yaml"}).text

    def storage(self, name: str) -> list[TierSize]:
        """Where its rows are kept, and how much."""
        return self._calls.items(TierSize, self._send("GET", _path(name, "storage")))

    def lineage(self, name: str, *, direction: str = "both", depth: int = 3) -> Lineage:
        """What it comes from (`upstream`), what comes from it (`downstream`), or both."""
        return self._read(Lineage, _path(name, "lineage"), params={"direction": direction, "depth": depth})

    def impact(self, name: str, column: str | None = None) -> ColumnImpact:
        """Who breaks if a column goes, or all of it."""
        return self._read(ColumnImpact, _path(name, "impact"), params={} if column is None else {"column": column})

    def sample(self, name: str, limit: int = 20) -> Sample:
        """Some rows, as you see them."""
        return self._read(Sample, _path(name, "sample"), params={"limit": limit})

    def usage(self, name: str, days: int = 30) -> Usage:
        """Who asks for its rows."""
        return self._read(Usage, _path(name, "usage"), params={"days": days})

    def mark(self, name: str) -> None:
        """Make it one of your favourites."""
        self._send("PUT", _path(name, "favourite"))

    def unmark(self, name: str) -> None:
        """Make it none of your favourites."""
        self._send("DELETE", _path(name, "favourite"))

    def notes(self, name: str, column: str = "") -> list[Note]:
        """Every state of the note on it, or on a column, the newest first."""
        return self._calls.items(Note, self._send("GET", _path(name, "notes"), params={"column": column}))

    def write_note(self, name: str, text: str, column: str = "", over: int | None = None) -> Note:
        """Write the note on it, or on a column; an empty text takes it away. `over`: the id of the state it was made of."""
        body = {"column": column, "text": text, "over": over}
        return self._calls.read(Note, self._send("PUT", _path(name, "notes"), json=body, safe=False))

    def undo_note(self, name: str, over: int, column: str = "") -> Note:
        """Have the state before the one with this id stand again."""
        body = {"column": column, "over": over}
        return self._calls.read(Note, self._send("POST", _path(name, "notes", "undo"), json=body, safe=False))

    def threads(self, name: str) -> list[Thread]:
        """What people say of it."""
        return self._calls.items(Thread, self._send("GET", _path(name, "threads")))

    def begin_thread(self, name: str, text: str, column: str = "") -> Thread:
        """Ask or tell something of it, or of a column."""
        return self._said(("threads",), name, {"text": text, "column": column})

    def reply(self, name: str, thread: str, text: str) -> Thread:
        """Say something in a thread."""
        return self._said(("threads", thread, "remarks"), name, {"text": text})

    def _said(self, path: tuple[str, ...], name: str, body: dict[str, str]) -> Thread:
        return self._calls.read(Thread, self._send("POST", _path(name, *path), json=body, safe=False))

    def _read(self, kind: type[ResultT], path: str, **options: Any) -> ResultT:
        return self._calls.read(kind, self._send("GET", path, **options))

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._calls.send(method, f"/catalog{path}", **options)


def _path(*parts: str) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in parts)
