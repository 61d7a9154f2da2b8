"""How one page leads to the next, for each kind of pagination. A place is where a page is, as JSON; no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import httpx

from headrace.connector.http import origin, shown
from headrace.errors import Fatal
from services.ingest.connectors.rest.paths import one_at
from services.ingest.connectors.rest.settings import (
    CursorPagination,
    LinkPagination,
    NoPagination,
    OffsetPagination,
    PagePagination,
)

Place = dict[str, Any]
FIRST: Final[Place] = {}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a page says about the next: its parsed answer, the answer's headers, and how many records it had."""

    document: Any
    headers: Mapping[str, str]
    count: int


class Pages(Protocol):
    """One kind of pagination. `counted` says that places follow each other whatever the server answers."""

    counted: bool

    def url(self, base: httpx.URL, place: Place) -> httpx.URL:
        """What to ask for the page at a place; `base` has the parameters of every page."""
        ...

    def next(self, base: httpx.URL, place: Place, seen: Seen) -> Place | None:
        """Where the next page is; None behind the last. Errors: Fatal."""
        ...


class Whole:
    """One answer."""

    counted = False

    def url(self, base: httpx.URL, place: Place) -> httpx.URL:
        """See `Pages.url`."""
        del place
        return base

    def next(self, base: httpx.URL, place: Place, seen: Seen) -> Place | None:
        """See `Pages.next`."""
        del base, place, seen
        return None


@dataclass(frozen=True, slots=True)
class Numbered:
    """Page after page, until one is empty."""

    settings: PagePagination
    counted = True

    def _number(self, place: Place) -> int:
        return int(place.get("page", self.settings.first))

    def url(self, base: httpx.URL, place: Place) -> httpx.URL:
        """See `Pages.url`."""
        return base.copy_set_param(self.settings.param, self._number(place))

    def next(self, base: httpx.URL, place: Place, seen: Seen) -> Place | None:
        """See `Pages.next`."""
        del base
        following = self._number(place) + 1
        pages = _count(self.settings.pages, seen.document, "source.pagination.pages")
        if not seen.count or (pages is not None and following - self.settings.first >= pages):
            return None
        return {"page": following}


@dataclass(frozen=True, slots=True)
class Offset:
    """So many records further on, until there are none."""

    settings: OffsetPagination
    counted = True

    def url(self, base: httpx.URL, place: Place) -> httpx.URL:
        """See `Pages.url`."""
        return base.copy_set_param(self.settings.param, int(place.get("offset", 0)))

    def next(self, base: httpx.URL, place: Place, seen: Seen) -> Place | None:
        """See `Pages.next`."""
        del base
        following = int(place.get("offset", 0)) + seen.count
        total = _count(self.settings.total, seen.document, "source.pagination.total")
        return None if not seen.count or (total is not None and following >= total) else {"offset": following}


@dataclass(frozen=True, slots=True)
class Cursor:
    """A token leads on."""

    settings: CursorPagination
    counted = False

    def url(self, base: httpx.URL, place: Place) -> httpx.URL:
        """See `Pages.url`."""
        return base.copy_set_param(self.settings.param, place["cursor"]) if "cursor" in place else base

    def next(self, base: httpx.URL, place: Place, seen: Seen) -> Place | None:
        """See `Pages.next`."""
        del base, place
        settings = self.settings
        token = one_at(settings.path, seen.document) if settings.path else seen.headers.get(settings.header or "")
        if token is None or token is False or token == "":
            return None
        if not isinstance(token, str | int) or isinstance(token, bool):
            raise Fatal(f"what is at {settings.path} is no token for the next page; correct source.pagination.path")
        return {"cursor": str(token)}


@dataclass(frozen=True, slots=True)
class Link:
    """A URL leads on. Its path and query are kept, for it has to be of the host that is asked."""

    settings: LinkPagination
    counted = False

    def url(self, base: httpx.URL, place: Place) -> httpx.URL:
        """See `Pages.url`."""
        return base.join(place["next"]) if "next" in place else base

    def next(self, base: httpx.URL, place: Place, seen: Seen) -> Place | None:
        """See `Pages.next`. A server behind a proxy may give `http` for the `https` it is reached by."""
        if self.settings.path:
            target = one_at(self.settings.path, seen.document)
        else:
            target = httpx.Response(200, headers=dict(seen.headers)).links.get("next", {}).get("url")
        if target is None or target is False or target == "":
            return None
        if not isinstance(target, str):
            raise Fatal(f"what is at {self.settings.path} is no URL; correct source.pagination.path")
        try:
            url = self.url(base, place).join(target)
        except httpx.InvalidURL as error:
            raise Fatal(f"{shown(base)}: the link to the next page is no URL") from error
        if url.scheme == "http" and base.scheme == "https" and url.port is None:
            url = url.copy_with(scheme="https")
        if url.scheme not in ("http", "https") or origin(url) != origin(base):
            raise Fatal(
                f"{shown(base)}: the link to the next page leads to another host, {shown(url)}, where no credentials are sent"
            )
        return {"next": url.raw_path.decode()}


def pages_of(settings: Any) -> Pages:
    """The pagination that a source is set to."""
    match settings:
        case PagePagination():
            return Numbered(settings)
        case OffsetPagination():
            return Offset(settings)
        case CursorPagination():
            return Cursor(settings)
        case LinkPagination():
            return Link(settings)
        case NoPagination():
            return Whole()
    raise TypeError(type(settings).__name__)


def _count(path: str | None, document: Any, setting: str) -> int | None:
    if path is None:
        return None
    found = one_at(path, document)
    if not isinstance(found, int) or isinstance(found, bool):
        raise Fatal(f"the answer has no number at {path}; correct {setting}")
    return found
