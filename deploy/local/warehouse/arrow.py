"""How pieces of an Arrow stream become one: the engine makes a whole stream of each, with a schema and an end of its own."""

from collections.abc import Generator, Iterator
from typing import Final

_MARK: Final = b"\xff\xff\xff\xff"
_END: Final = _MARK + b"\x00\x00\x00\x00"
_PREFIX_BYTES: Final = 8  # the mark, and how long the message is, which has no body when it is a schema


def welded(streams: Iterator[bytes]) -> Generator[bytes]:
    """The bytes of one stream with the batches of all. Source: Arrow columnar format, encapsulated message format."""
    first = True
    for stream in streams:
        body = stream.removesuffix(_END)
        if not first:
            body = body[_PREFIX_BYTES + int.from_bytes(body[len(_MARK) : _PREFIX_BYTES], "little") :]
        first = False
        yield body
    if not first:
        yield _END
