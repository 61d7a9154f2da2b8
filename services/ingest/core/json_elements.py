"""Where the elements of a JSON array are in a block of a long document, so that no more of it has to be held.

Elements are told apart by their brackets and quotes; whether each is JSON is found out when it is read, so that one that is
not costs no other.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_STRING: Final = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT: Final = rb'(?:[^"\[\]{}]++|%b)*+' % _STRING
_DEEP: Final = 3  # levels of brackets that are passed over at once; deeper ones bracket by bracket


def _nested(levels: int) -> bytes:
    return rb"[\[{]%b[\]}]" % (_FLAT if not levels else rb'(?:[^"\[\]{}]++|%b|%b)*+' % (_STRING, _nested(levels - 1)))


_ELEMENT: Final = re.compile(rb'(?:[^"\[\]{},]++|%b|%b)*+(?=[,\]])' % (_STRING, _nested(_DEEP)), re.DOTALL)
_STEP: Final = re.compile(rb'%b|[\[\]{},"]' % _STRING, re.DOTALL)
_ANY: Final = re.compile(rb'["\[\]{},]')
_IN_STRING: Final = re.compile(rb'["\\]')
_SPACE: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Elements:
    """What the start of a block holds.

    `spans` are the elements, without the white space around them. `consumed` bytes are dealt with, the comma or bracket
    behind the last element not among them; the rest is an element that is not complete. `ended` says that the array is.
    """

    spans: Sequence[tuple[int, int]]
    consumed: int
    ended: bool


def elements(block: bytes, first: bool, most: int) -> Elements:
    """The elements at the start of a block, at most `most`.

    The block starts behind the array's bracket (`first`), or behind an element. Errors: ValueError when no comma follows that.
    """
    spans: list[tuple[int, int]] = []
    consumed = 0
    while len(spans) < most:
        at = _past_space(block, consumed)
        if block[at : at + 1] == b"]":
            return Elements(spans, consumed, True)
        if not first:
            if at == len(block):
                break
            if block[at : at + 1] != b",":
                raise ValueError("no comma or bracket follows an element")
            at = _past_space(block, at + 1)
        stop = _end_of_element(block, at)
        if stop is None:
            break
        spans.append((at, at + len(block[at:stop].rstrip(_SPACE))))
        consumed, first = stop, False
    return Elements(spans, consumed, False)


def _past_space(block: bytes, at: int) -> int:
    while at < len(block) and block[at] in _SPACE:
        at += 1
    return at


def _end_of_element(block: bytes, start: int) -> int | None:
    """Where the comma or bracket behind an element is; None when the block ends before."""
    found = _ELEMENT.match(block, start)
    if found is not None:
        return found.end()
    return Skipping().over(block, start)


class Skipping:
    """Passes over one element that may be longer than what is held of it."""

    def __init__(self) -> None:
        self._depth = 0
        self._string = False
        self._escaped = False

    def over(self, block: bytes, start: int = 0) -> int | None:
        """Where the comma or bracket behind the element is; None when it goes on behind the block."""
        at = start
        while at < len(block):
            if self._string:
                at = self._through_string(block, at)
                continue
            token = _ANY.search(block, at)
            if token is None:
                return None
            mark = token[0]
            if self._depth == 0 and mark in b",]":
                return token.start()
            if mark == b'"':
                self._string = True
            elif mark in b"[{":
                self._depth += 1
            elif mark in b"]}":
                self._depth -= 1
                if self._depth < 0:
                    return token.start()
            at = token.end()
        return None

    def _through_string(self, block: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return at + 1
        found = _IN_STRING.search(block, at)
        if found is None:
            return len(block)
        if found[0] == b'"':
            self._string = False
        else:
            self._escaped = True
        return found.end()


class Opening:
    """Finds the array of rows in a document, by the names of the fields on the way to it; fed block by block."""

    def __init__(self, path: Sequence[str]) -> None:
        self._path = path
        self._depth = 0  # brackets that are open
        self._on_path = 0  # how many of them, from outside, are objects on the way
        self._name_next = False
        self._named = False  # the field whose value comes next is on the way
        self._rest = b""
        self._passed = 0

    def found(self, block: bytes, limit: int) -> int | None:
        """The offset behind the array's bracket, from the start of the document; None when it comes later.

        Errors: ValueError when there is no such array, or a text of more than `limit` bytes is in front of it.
        """
        block, at = self._rest + block, 0
        if self._passed == 0:
            at = _past_space(block, len(_BOM) if block.startswith(_BOM) else 0)
            if at < len(block) and block[at : at + 1] != (b"{" if self._path else b"["):
                raise ValueError("it is no object" if self._path else "it is no array")
        keep = len(block)
        for token in _STEP.finditer(block, at):
            if token[0] == b'"':  # a text that goes on behind the block
                keep = token.start()
                break
            if self._step(token[0]):
                return self._passed + token.end()
        self._rest, self._passed = block[keep:], self._passed + keep
        if len(self._rest) > limit:
            raise ValueError(f"a text of more than {limit} bytes comes before the rows")
        return None

    def _step(self, token: bytes) -> bool:
        """Go past a token. Returns whether it opens the array of rows."""
        inside = self._depth == self._on_path
        match token[:1]:
            case b"{":
                self._depth += 1
                if inside and (self._depth == 1 or (self._named and self._on_path < len(self._path))):
                    self._on_path = self._depth
                    self._name_next = True
                self._named = False
            case b"[":
                if inside and (not self._path or (self._named and self._on_path == len(self._path))):
                    return True
                self._depth += 1
                self._named = False
            case b"}" | b"]":
                self._depth -= 1
                self._on_path = min(self._on_path, self._depth)
                self._named = self._name_next = False
                if self._depth <= 0:
                    raise ValueError(f"it has no array {'.'.join(self._path)}")
            case b"," if inside:
                self._named, self._name_next = False, True
            case b'"' if inside and self._name_next:
                self._named, self._name_next = _text(token) == self._path[self._on_path - 1], False
        return False


def _text(token: bytes) -> str | None:
    try:
        return str(json.loads(token))
    except ValueError:
        return None
