"""Rows of datasets as files."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from urllib.parse import quote

import httpx

from headrace.client.calls import Calls

ExportFormat = Literal["csv", "jsonl", "parquet", "arrow"]

_PATIENCE_S: Final = 600.0  # for a piece: a query that sorts or searches long sends nothing meanwhile
_PIECE_BYTES: Final = 1 << 20


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
