"""Where the elements of a JSON array are, so that one that cannot be read does not cost the others."""

import re
from typing import Final

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{},]', re.DOTALL)
_OPEN: Final = b"[{"
_CLOSE: Final = b"]}"


def elements(body: bytes) -> list[bytes]:
    """The elements of the array in `body`, each on one line. Errors: ValueError when it is not one array."""
    text = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not text.startswith(b"["):
        raise ValueError("the body does not start with [")
    depth, start, found = 0, 1, []
    end = -1
    for token in _TOKEN.finditer(text):
        mark = text[token.start() : token.start() + 1]
        if mark in _OPEN:
            depth += 1
        elif mark in _CLOSE:
            depth -= 1
            if depth == 0:
                end = token.start()
                break
        elif mark == b"," and depth == 1:
            found.append(one_line(text[start : token.start()]))
            start = token.end()
    if end < 0:
        raise ValueError("the array is not closed")
    if text[end : end + 1] != b"]" or text[end + 1 :].strip():
        raise ValueError("something follows the array")
    last = one_line(text[start:end])
    return [*found, last] if found or last else []


def one_line(element: bytes) -> bytes:
    """A JSON text without line ends: between tokens they are white space, inside a string they are not JSON anyway."""
    return element.strip().replace(b"\r", b" ").replace(b"\n", b" ")
