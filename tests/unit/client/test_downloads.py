"""Files come as they were made, whatever stands between."""

import gzip
from collections.abc import Iterator
from hashlib import sha256

import httpx

from headrace.client import Client, downloads

CONTENT = b"id\n1\n2\n"


def packing(request: httpx.Request) -> httpx.Response:
    """A proxy that packs what may be packed."""
    told = {"ETag": '"x"', "X-Headrace-Sha256": sha256(CONTENT).hexdigest()}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return httpx.Response(
            200, stream=httpx.ByteStream(gzip.compress(CONTENT)), headers={**told, "Content-Encoding": "gzip"}
        )
    start = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    return httpx.Response(206 if start else 200, stream=Breaking(CONTENT[start:], start), headers=told)


class Breaking(httpx.SyncByteStream):
    """The first answer breaks off after three bytes."""

    def __init__(self, content: bytes, start: int) -> None:
        self.content, self.start = content, start

    def __iter__(self) -> Iterator[bytes]:
        yield self.content[:3]
        if self.start == 0:
            raise httpx.ReadError("broken off")
        yield self.content[3:]


def test_a_file_that_broke_off_goes_on_and_is_not_packed() -> None:
    with (
        Client("http://a.gateway", transport=httpx.MockTransport(packing)) as client,
        downloads.export(client, "5f0c6d7e8a9b4c3d") as found,
    ):
        assert b"".join(found.pieces) == CONTENT


def test_the_control_a_packed_file_is_another() -> None:
    with (
        httpx.Client(transport=httpx.MockTransport(packing)) as plain,
        plain.stream("GET", "http://a.gateway") as found,
    ):
        assert b"".join(found.iter_raw()) != CONTENT


def test_rows_are_not_packed_either() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept-encoding"] == "identity"
        return httpx.Response(200, stream=httpx.ByteStream(CONTENT))

    with (
        Client("http://a.gateway", transport=httpx.MockTransport(answer)) as client,
        downloads.rows(client, "nyc.flights") as found,
    ):
        assert b"".join(found.pieces) == CONTENT
