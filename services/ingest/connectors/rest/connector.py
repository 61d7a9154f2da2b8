"""The `rest` connector: records of a JSON API, page by page.

A source without `incremental` is read once, from its first page to its last, and has ended then. With it, each later read
asks for what is new. A read that was broken off goes on with the page it was at.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import pyarrow as pa

from headrace.connector import Fetched, SourceRow, Step, Stream, Stretch, Surroundings
from headrace.connector.http import Answer, Clock, Http, Limits, Refused, Signature, Throttled, port_of, shown
from headrace.errors import Fatal, Transient
from services.ingest.adapters.sniffer import object_types
from services.ingest.connectors.rest.auth import authenticator
from services.ingest.connectors.rest.pagination import FIRST, Place, Seen, pages_of
from services.ingest.connectors.rest.progress import Fingerprint, Progress, kind_of, rank, sort_out, text_of
from services.ingest.connectors.rest.records import document, fetched, line_of, records
from services.ingest.connectors.rest.settings import Incremental, PagePagination, RestSource
from services.ingest.core.typing import Typing, first_schema

log = logging.getLogger(__name__)

_SAMPLED: Final = 10_000
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404
_LONGEST_WAIT_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class _Page:
    """An answer: its records as lines, their cursors, and where the next is."""

    document: Any = field(repr=False)
    lines: Sequence[bytes] = field(repr=False)
    cursors: Sequence[Any]
    next: Place | None


class RestConnector:
    """See `headrace.connector.Connector`. Positions are those of `services.ingest.connectors.rest.progress`."""

    def __init__(self, source: RestSource, surroundings: Surroundings, clock: Clock | None = None) -> None:
        self._source = source
        self._surroundings = surroundings
        self._http = Http(surroundings.targets, _limits(source), clock)
        self._auth = authenticator(source.auth, self._http, surroundings)
        self._pages = pages_of(source.pagination)
        self._typing = Typing(
            surroundings.declared, surroundings.evolution, source.max_record_bytes, surroundings.declares_all
        )
        self._schema = surroundings.schema
        self._not_before = 0.0
        self._stretch: Stretch | None = None
        self.waiting = False

    def check(self) -> Iterator[Step]:
        """See `Connector.check`."""
        url = httpx.URL(self._source.url)
        trying, at = "resolve", "source.url"
        try:
            address = self._surroundings.targets.resolve(url.host, port_of(url))
            yield Step(trying, True, f"{url.host} is {address}")
            trying = "connect"
            yield Step(trying, True, self._http.connected(url))
            trying, at = "authenticate", "source.auth"
            self._auth.signature()
            try:
                answer, signature = self._answer(FIRST, None)
            except (Refused, Transient) as error:
                if isinstance(error, Refused) and error.status in (_UNAUTHORIZED, 403):
                    raise
                trying, at = "read", "source.url"
                raise
            yield Step(trying, True, f"the server takes what is set ({self._source.auth.type})")
            trying, at = "read", "source.url"
            found = document(answer, signature)
            at = "source.records"
            there = records(self._source.records, found.value, shown(answer.url))
            lines = [line_of(record, found.plain) for record in there]
            yield Step(trying, True, f"{len(lines)} records on the first page")
            trying = "infer"
            yield self._described(first_schema(lines[:_SAMPLED], self._typing, object_types))
        except (Fatal, Transient) as error:
            yield Step(trying, False, str(error), at, _REMEDIES.get(trying, ""))

    def _described(self, columns: pa.Schema) -> Step:
        """Whether the first page has what the settings name."""
        incremental = self._source.incremental
        if not len(columns):
            return Step("infer", True, "there are no records yet to tell columns from")
        named = {"source.key": self._source.key, "source.incremental.field": [incremental.field] if incremental else []}
        for at, names in named.items():
            for name in names:
                if name not in columns.names:
                    has = ", ".join(columns.names)
                    return Step("infer", False, f"no record has a field {name!r}; they have {has}", at, "correct it")
        return Step("infer", True, f"{len(columns)} columns: {', '.join(columns.names)}")

    def discover(self) -> list[Stream]:
        """See `Connector.discover`. The first page is looked at."""
        page = self._page(FIRST, None)
        columns = first_schema(page.lines[:_SAMPLED], self._typing, object_types)
        incremental = self._source.incremental
        named = set(columns.names)
        return [
            Stream(
                httpx.URL(self._source.url).path,
                columns,
                tuple(name for name in self._source.key if name in named),
                (incremental.field,) if incremental and incremental.field in named else (),
            )
        ]

    def read(self, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Connector.read`. When the server asks for patience, the read ends early, and later ones wait that long."""
        at = Progress.from_json(position)
        if not at.ended:
            yield from self._patiently(lambda: self._run(at))

    def _patiently(self, run: Callable[[], Iterator[tuple[Fetched, str]]]) -> Iterator[tuple[Fetched, str]]:
        """A run, unless the server still wants to be left alone, up to where it asks for that."""
        self.waiting = self._http.clock.monotonic() < self._not_before
        if self.waiting:
            return
        try:
            yield from run()
        except Throttled as error:
            self._not_before = self._http.clock.monotonic() + min(error.wait_s, _LONGEST_WAIT_S)
            self.waiting = True
            log.warning("%s", error)

    def read_range(self, stretch: Stretch, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Ranged.read_range`. What the API gives from the end of the stretch on is left out."""
        incremental = self._source.incremental
        if incremental is None:
            raise Fatal(f"{shown(httpx.URL(self._source.url))} is read without `incremental`: nothing asks for a time")
        yield from self._patiently(lambda: self._again(incremental, stretch, position))

    def _again(self, incremental: Incremental, stretch: Stretch, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """The rest of a run over a stretch."""
        since = _asked(incremental.start, stretch.since)
        at = Progress.from_json(position) if position else Progress(since=since, kind="time")
        if position and at.place is None:  # the last page was read
            return
        if not position and (cursors := self._page(FIRST, since).cursors) and kind_of(cursors) != "time":
            raise Fatal(
                f"{incremental.field!r}, by which the source is read, does not hold dates or times: {cursors[0]!r:.60}"
            )
        self._stretch = stretch
        try:
            yield from self._run(at)
        finally:
            self._stretch = None

    def _run(self, before: Progress) -> Iterator[tuple[Fetched, str]]:
        """The rest of a run, or the whole of the next."""
        incremental = self._source.incremental
        at = before.begun(incremental.start if incremental else None, FIRST)
        told, size = before, self._surroundings.batch_rows
        visited: set[str] = set()
        last = ""
        while at.place is not None:
            place = at.place
            page = self._page(place, at.since)
            last = self._moved_on(place, page, visited, last)
            done = self._done(at, page)
            read = Fingerprint(page.lines[:done])
            for start in range(done, max(len(page.lines), done + 1), size):
                part = slice(start, start + size)
                rows, at = self._rows(at, page, part)
                read.add(page.lines[part])
                stop = start + size
                if stop < len(page.lines):
                    at = at.at(place, stop, read.text)
                elif page.next is not None:
                    at = at.at(page.next)
                else:
                    at = at.finished(incremental is not None)
                if rows is not None:
                    told = at
                    yield rows, at.to_json()
        if at != told and self._schema is not None:  # the way there had no rows
            yield Fetched(pa.RecordBatch.from_pylist([], schema=self._schema)), at.to_json()

    def _page(self, place: Place, since: Any) -> _Page:
        """The page at a place. Errors: Transient, Throttled, Fatal, Refused."""
        try:
            answer, signature = self._answer(place, since)
        except Refused as error:
            pagination = self._source.pagination
            numbered = isinstance(pagination, PagePagination) and pagination.past_end == "not_found"
            if error.status == _NOT_FOUND and place != FIRST and numbered:
                return _Page(None, [], [], None)
            raise
        if not answer.body.strip():
            return _Page(None, [], [], None)
        found = document(answer, signature)
        there = records(self._source.records, found.value, shown(answer.url))
        following = self._pages.next(self._base(since), place, Seen(found.value, answer.headers, len(there)))
        if following is not None and "next" in following:  # servers repeat the query they were asked with
            following = {"next": signature.unsigned(self._base(since).join(following["next"])).raw_path.decode()}
        name = self._source.incremental.field if self._source.incremental else None
        cursors = [record.get(name) if isinstance(record, dict) else None for record in there] if name else []
        return _Page(found.value, [line_of(record, found.plain) for record in there], cursors, following)

    def _answer(self, place: Place, since: Any) -> tuple[Answer, Signature]:
        """What the server answers at a place; once more when it does not take a credential that can be renewed."""
        source = self._source
        url = self._pages.url(self._base(since), place)
        headers = dict(source.headers)
        content = None
        if source.body is not None:
            content = json.dumps(source.body).encode()
            headers = {"Content-Type": "application/json", **headers}
        signature = self._auth.signature()
        try:
            return self._http.ask(source.method, url, headers=headers, content=content, signature=signature), signature
        except Refused as error:
            if error.status != _UNAUTHORIZED or not self._auth.renew():
                raise
        signature = self._auth.signature()
        return self._http.ask(source.method, url, headers=headers, content=content, signature=signature), signature

    def _base(self, since: Any) -> httpx.URL:
        """The URL with the parameters of every page."""
        params: dict[str, str] = {name: _param(value) for name, value in self._source.params.items()}
        if self._source.incremental is not None and since is not None:
            params[self._source.incremental.param] = text_of(since)
        url = httpx.URL(self._source.url)
        return url.copy_merge_params(params) if params else url

    def _moved_on(self, place: Place, page: _Page, visited: set[str], last: str) -> str:
        """The fingerprint of a page. Errors: Fatal when a page leads back to one that was read."""
        at = shown(httpx.URL(self._source.url))
        visited.add(_named(place))
        if page.next is not None and _named(page.next) in visited:
            raise Fatal(
                f"{at}: a page leads back to {_named(page.next)[:80]}, which was read in this run; the pages go in a circle: "
                "correct source.pagination"
            )
        content = Fingerprint(page.lines).text if self._pages.counted and page.lines else ""
        if content and content == last:
            raise Fatal(
                f"{at}: the page at {_named(place)} is the same as that before it; the server does not know the parameter "
                f"{getattr(self._source.pagination, 'param', '')!r}: correct source.pagination.param"
            )
        return content

    def _done(self, at: Progress, page: _Page) -> int:
        """How many records of a page have been read."""
        if at.done and Fingerprint(page.lines[: at.done]).text != at.seen:
            log.warning(
                "the page at %s is not what it was when it was read in part: it is read from its start", at.place
            )
            return 0
        return at.done

    def _rows(self, at: Progress, page: _Page, part: slice) -> tuple[Fetched | None, Progress]:
        """The rows of a part of a page that were not read before, if any, and how far that is."""
        lines = page.lines[part]
        fresh: Sequence[int] = range(len(lines))
        rejected: tuple[SourceRow, ...] = ()
        incremental = self._source.incremental
        where = f"{shown(httpx.URL(self._source.url))} {_named(at.place or FIRST)[:80]}, record "
        if incremental is not None:
            found = sort_out(at, page.cursors[part], lines)
            at, fresh = found.progress, found.fresh
            if self._stretch is not None:
                return self._within(self._stretch, page, part, fresh, where), at
            detail = f"no {incremental.field!r} that can be compared with that of others, by which the source is read"
            rejected = tuple(
                SourceRow(lines[row], "wrong_type", detail, f"{where}{part.start + row + 1}", incremental.field)
                for row in found.odd
            )
        if not fresh and not rejected:
            return None, at
        rows = self._typed(page, part, fresh, where)
        return replace(rows, rejected=(*rejected, *rows.rejected)), at

    def _within(self, stretch: Stretch, page: _Page, part: slice, fresh: Sequence[int], where: str) -> Fetched | None:
        """The rows that belong to a stretch which is read again; none are a step, too, so that others get their turn."""
        ranks: dict[int, Any] = {row: rank(page.cursors[part][row], "time") for row in fresh}
        wanted = [row for row, at in ranks.items() if at is not None and stretch.since <= at < stretch.until]
        return self._typed(page, part, wanted, where) if fresh or self._schema is not None else None

    def _typed(self, page: _Page, part: slice, fresh: Sequence[int], where: str) -> Fetched:
        """Some rows of a part of a page, in the columns of the source."""
        if self._schema is None:
            self._schema = first_schema(page.lines[:_SAMPLED], self._typing, object_types)
        origins = [f"{where}{part.start + row + 1}" for row in fresh]
        rows = fetched([page.lines[part][row] for row in fresh], origins, self._schema, self._typing)
        self._schema = rows.rows.schema if len(rows.rows.schema) else self._schema
        return rows


_REMEDIES: Final[Mapping[str, str]] = {
    "resolve": "correct the host, or allow its network",
    "connect": "correct host and port, and let the network of ingest reach them",
    "authenticate": "set the credential again with `headrace secret set`, or correct what the server is to take",
    "read": "correct what is asked for",
    "infer": "correct the path to the records",
}


def _named(place: Place) -> str:
    return json.dumps(place, ensure_ascii=False)


def _asked(start: str | int | None, since: datetime) -> str:
    """A moment as the API is asked from it: a day where `incremental.start` is one, else a time in UTC."""
    at = since.astimezone(UTC)
    if isinstance(start, str) and _DAY.fullmatch(start):
        return str(at.date())
    return at.isoformat().replace("+00:00", "Z")


def _param(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _limits(source: RestSource) -> Limits:
    timeouts = source.timeouts
    return Limits(
        connect_s=timeouts.connect_s,
        idle_s=timeouts.idle_s,
        answer_s=timeouts.answer_s,
        most_bytes=source.max_answer_bytes,
        requests_per_s=source.requests_per_s,
    )


def opened(source: RestSource, surroundings: Surroundings) -> RestConnector:
    """The connector of an API. Its credentials are looked up when it is first asked."""
    return RestConnector(source, surroundings)
