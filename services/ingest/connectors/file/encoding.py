"""The characters of a text file as UTF-8: positions in it are then positions in UTF-8, whatever the file's encoding."""

import codecs
import io
from typing import IO, Final

_READ_BYTES: Final = 1 << 20


def as_utf8(content: IO[bytes], encoding: str) -> IO[bytes]:
    """`content` as a stream of UTF-8. Bytes that are no characters of `encoding` become bytes that are not UTF-8."""
    return content if encoding == "utf-8" else io.BufferedReader(_Transcoded(content, encoding), _READ_BYTES)


class _Transcoded(io.RawIOBase):
    """Decodes as it is read; going back, or far ahead, means reading anew from the start."""

    def __init__(self, content: IO[bytes], encoding: str) -> None:
        content.seek(0)
        self._content = content
        self._errors = "surrogatepass" if encoding == "utf-16" else "surrogateescape"
        self._decoder = codecs.getincrementaldecoder(encoding)(self._errors)
        self._pending = b""
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._pending:
            raw = self._content.read(_READ_BYTES)
            if not raw:
                return 0
            self._pending = self._decoder.decode(raw).encode("utf-8", self._errors)
        taken = min(len(buffer), len(self._pending))
        buffer[:taken] = self._pending[:taken]
        self._pending = self._pending[taken:]
        self._at += taken
        return taken

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence != 0:
            raise io.UnsupportedOperation("only from the start")
        if offset < self._at:
            self._content.seek(0)
            self._decoder.reset()
            self._pending, self._at = b"", 0
        while self._at < offset:
            skipped = self.readinto(bytearray(min(_READ_BYTES, offset - self._at)))
            if not skipped:
                break
        return self._at
