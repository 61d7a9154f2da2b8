"""Rows of datasets as files."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.parse import quote

import httpx

from headrace.client.calls import Calls
from headrace.client.errors import BrokenOff, Unreachable
from headrace.client.results.exports import Export, ExportSchedule
from headrace.errors import HeadraceError

ExportFormat = Literal["csv", "jsonl", "parquet", "arrow"]
Destination = Literal["download", "s3"]

_PATIENCE_S: Final = 600.0  # for a piece: a query that sorts or searches long sends nothing meanwhile
_PIECE_BYTES: Final = 1 << 20
_ATTEMPTS: Final = 4


@dataclass(frozen=True, slots=True)
class Download:
    """A file that comes. `complete_through`: all that the source had by then is in it; None when that is not known.

    `masked` are the columns that do not show every value. Reading `pieces`: HeadraceError when it breaks off.
    """

    name: str
    pieces: Iterator[bytes]
    size_bytes: int | None
    complete_through: datetime | None
    loaded_at: datetime | None
    waiting_for: str
    masked: tuple[str, ...]


class Exports:
    """What can be asked about exports: `client.exports`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @contextmanager
    def stream(
        self, dataset: str, form: ExportFormat = "csv", columns: Sequence[str] = (), where: str = ""
    ) -> Generator[Download]:
        """The rows of a dataset as a file, while it is made. Errors: ApiError, Unreachable."""
        params = {"format": form, "columns": ",".join(columns), "where": where}
        timeout = httpx.Timeout(_PATIENCE_S, connect=5)
        path = f"/datasets/{quote(dataset, safe='')}/export"
        with self._calls.opened(path, params=params, timeout=timeout) as response:
            yield download(response)

    def start(
        self,
        dataset: str,
        form: ExportFormat = "parquet",
        columns: Sequence[str] = (),
        where: str = "",
        destination: Destination = "download",
    ) -> Export:
        """Have the rows written to a file in the background."""
        body = _wanted(dataset, form, columns, where, destination)
        return self._calls.read(Export, self._calls.send("POST", "/exports", safe=False, json=body))

    def all(self, state: str | None = None) -> list[Export]:
        """Your exports, newest first; an administrator's are everybody's."""
        params = {"state": state} if state else {}
        return self._calls.items(Export, self._calls.send("GET", "/exports", params=params))

    def get(self, id: str) -> Export:
        """One export."""
        return self._calls.read(Export, self._calls.send("GET", _export(id)))

    def remove(self, id: str) -> None:
        """Cancel an export while it is made; else delete its file and forget it."""
        self._calls.send("DELETE", _export(id), safe=False)

    @contextmanager
    def fetch(self, id: str) -> Generator[Download]:
        """The file of an export, as it comes. One that breaks off is gone on with, a few times.

        Errors: ApiError, Unreachable; reading it, HeadraceError when the file that came is another than was made.
        """
        path = _export(id, "file")
        timeout = httpx.Timeout(_PATIENCE_S, connect=5)
        with self._calls.opened(path, timeout=timeout) as response:
            found = download(response)
            yield replace(found, pieces=self._whole(path, response, timeout))

    def _whole(self, path: str, response: httpx.Response, timeout: httpx.Timeout) -> Iterator[bytes]:
        digest, passed, etag = sha256(), 0, response.headers["etag"]
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                for piece in response.iter_raw() if attempt == 1 else self._rest(path, passed, etag, timeout):
                    digest.update(piece)
                    passed += len(piece)
                    yield piece
                break
            except (httpx.TransportError, BrokenOff, Unreachable):
                if attempt == _ATTEMPTS:
                    raise
        if digest.hexdigest() != response.headers["x-headrace-sha256"]:
            raise HeadraceError(f"The file that came of {path} is another than was made: fetch it again.")

    def _rest(self, path: str, start: int, etag: str, timeout: httpx.Timeout) -> Iterator[bytes]:
        headers = {"Range": f"bytes={start}-", "If-Range": etag}
        with self._calls.opened(path, timeout=timeout, headers=headers) as rest:
            if rest.status_code != HTTPStatus.PARTIAL_CONTENT:
                raise HeadraceError(f"The file of {path} changed while it was fetched: fetch it again.")
            yield from rest.iter_raw()  # as it comes: what waits to be a larger piece would be lost

    def schedule(
        self,
        dataset: str,
        cron: str,
        timezone: str = "UTC",
        form: ExportFormat = "parquet",
        columns: Sequence[str] = (),
        where: str = "",
        destination: Destination = "download",
    ) -> ExportSchedule:
        """Have a dataset exported at certain times."""
        body = _wanted(dataset, form, columns, where, destination) | {"cron": cron, "timezone": timezone}
        return self._calls.read(ExportSchedule, self._calls.send("POST", "/export-schedules", safe=False, json=body))

    def schedules(self) -> list[ExportSchedule]:
        """Your schedules, the next to be due first."""
        return self._calls.items(ExportSchedule, self._calls.send("GET", "/export-schedules"))

    def pause_schedule(self, id: str) -> ExportSchedule:
        """Let a schedule rest."""
        return self._calls.read(ExportSchedule, self._calls.send("POST", _schedule(id, "pause"), safe=False))

    def resume_schedule(self, id: str) -> ExportSchedule:
        """Go on with the time that comes next."""
        return self._calls.read(ExportSchedule, self._calls.send("POST", _schedule(id, "resume"), safe=False))

    def remove_schedule(self, id: str) -> None:
        """Take a schedule away; the exports it made stay."""
        self._calls.send("DELETE", _schedule(id), safe=False)


def _wanted(
    dataset: str, form: ExportFormat, columns: Sequence[str], where: str, destination: Destination
) -> dict[str, Any]:
    return {"dataset": dataset, "format": form, "columns": list(columns), "where": where, "destination": destination}


def _export(*parts: str) -> str:
    return "/exports/" + "/".join(quote(part, safe="") for part in parts)


def _schedule(*parts: str) -> str:
    return "/export-schedules/" + "/".join(quote(part, safe="") for part in parts)


def download(response: httpx.Response) -> Download:
    """What an answer that is a file says of itself."""
    headers = response.headers
    length = headers.get("content-length")
    return Download(
        headers.get("content-disposition", "").partition('filename="')[2].partition('"')[0],
        response.iter_raw(_PIECE_BYTES),
        int(length) if length else None,
        _moment(headers, "x-headrace-complete-through"),
        _moment(headers, "x-headrace-loaded-at"),
        headers.get("x-headrace-waiting-for", ""),
        tuple(name for name in headers.get("x-headrace-masked-columns", "").split(",") if name),
    )


def _moment(headers: Mapping[str, str], name: str) -> datetime | None:
    return datetime.fromisoformat(headers[name]) if name in headers else None
