"""Files that a gateway makes: what they say of themselves, and how one that broke off is gone on with. For `Client`."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Final

import httpx

from headrace.client.call import Request
from headrace.client.client import Client
from headrace.client.errors import BrokenOff, Unreachable
from headrace.client.groups.exports import ExportFormat, Exports
from headrace.client.wire import Wire
from headrace.errors import HeadraceError

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


@contextmanager
def rows(
    client: Client, dataset: str, form: ExportFormat = "csv", columns: Sequence[str] = (), where: str = ""
) -> Generator[Download]:
    """The rows of a dataset as a file, while it is made. Errors: ApiError, Unreachable."""
    request = Exports.rows.describe(dataset, form, columns, where).request
    with client.wire.opened(request) as response:
        yield download(response)


@contextmanager
def export(client: Client, id: str) -> Generator[Download]:
    """The file of an export, as it comes. One that breaks off is gone on with, a few times.

    Errors: ApiError, Unreachable; reading it, HeadraceError when the file that came is another than was made.
    """
    request = Exports.file.describe(id).request
    with client.wire.opened(request) as response:
        yield replace(download(response), pieces=_whole(client.wire, request, response))


def _whole(wire: Wire, request: Request, response: httpx.Response) -> Iterator[bytes]:
    digest, passed, etag = sha256(), 0, response.headers["etag"]
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            for piece in response.iter_raw() if attempt == 1 else _rest(wire, request, passed, etag):
                digest.update(piece)
                passed += len(piece)
                yield piece
            break
        except (httpx.TransportError, BrokenOff, Unreachable):
            if attempt == _ATTEMPTS:
                raise
    if digest.hexdigest() != response.headers["x-headrace-sha256"]:
        raise HeadraceError(f"The file that came of {request.path} is another than was made: fetch it again.")


def _rest(wire: Wire, request: Request, start: int, etag: str) -> Iterator[bytes]:
    with wire.opened(request.sending(Range=f"bytes={start}-", If_Range=etag)) as rest:
        if rest.status_code != HTTPStatus.PARTIAL_CONTENT:
            raise HeadraceError(f"The file of {request.path} changed while it was fetched: fetch it again.")
        yield from rest.iter_raw()  # as it comes: what waits to be a larger piece would be lost


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
