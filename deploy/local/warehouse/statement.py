"""What a request asks for: a select, something else that only looks, a write, or an insert whose rows follow."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from deploy.local.warehouse.errors import exception

Kind = Literal["select", "show", "write", "insert"]

_TOKEN = re.compile(
    rb"(?P<space>\s+|--[^\n]*|/\*.*?\*/)"
    rb"|(?P<quoted>'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.|``)*`|\"(?:[^\"\\]|\\.|\"\")*\")"
    rb"|(?P<word>\w+)|(?P<sign>.)",
    re.S,
)
_INPUT = re.compile(rb"input\s*\(\s*('(?:[^'\\]|\\.|'')*')\s*\)", re.I)
_END_OF_INSERT = re.compile(rb"[ \t]*;?[ \t]*(?:\r?\n)?")
_NOT_A_FORMAT = {b"from", b"as", b"in", b"where"}
_SELECTS = {"select", "with", "from", "("}
_SHOWS = {"show", "desc", "describe", "exists", "explain", "check", "kill"}
_STREAMED = {"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow", "JSONCompactEachRow", "ArrowStream"}


@dataclass(frozen=True)
class Statement:
    """For an insert: `sql` ends before its FORMAT clause, and the rows begin at `data_at` of the text it was read from.

    `input`: the place in `sql`, and the row structure, of an `input('...')` the rows are to be read through.
    """

    kind: Kind
    sql: bytes
    format: str | None = None
    data_at: int = 0
    input: tuple[int, int, str] | None = None

    def streamed(self, output: str) -> bool:
        """Whether the result may be sent in pieces: the format has no header or footer, or one that can be taken off."""
        return self.kind == "select" and output in _STREAMED

    def reading_from(self, path: str) -> str:
        """The SQL of an insert through `input()`, with the rows taken from a file instead."""
        assert self.input is not None
        start, end, structure = self.input
        source = f"file('{path}', {self.format}, {structure})"
        return self.sql[:start].decode() + source + self.sql[end:].decode()


def parse(text: bytes) -> Statement:
    """Decides what `text` is; anything unknown counts as a write, which is the safe side (it waits for its turn)."""
    words = [word.lower() for word, _ in zip(_top_level(text), range(3), strict=False)]
    if not words:
        raise exception(62, "SYNTAX_ERROR", "Syntax error: Empty query.")
    first = words[0].decode()
    if first in ("set", "use") or words[:2] == [b"create", b"temporary"]:
        raise exception(
            48, "NOT_IMPLEMENTED", "Every request stands alone: send settings and the database with the request."
        )
    if first == "insert":
        return _insert(text)
    if first in _SHOWS:
        return Statement("show", text, _output_format(text))
    if first in _SELECTS and not (first == "with" and b"insert" in (word.lower() for word in _top_level(text))):
        return Statement("select", text, _output_format(text))
    return Statement("write", text, _output_format(text))


def _insert(text: bytes) -> Statement:
    """An insert with its rows behind a FORMAT clause, or, without one, a statement that is complete in itself."""
    through = None
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += {b"(": 1, b")": -1}.get(token[0], 0)
        word = (token["word"] or b"").lower()
        if word == b"input" and (call := _INPUT.match(text, token.start())):
            through = (call.start(), call.end(), call[1].decode())
        elif word == b"values" and depth == 0:
            break
        elif word == b"format" and depth == 0 and (name := _format_name(text, token.end())):
            end = _END_OF_INSERT.match(text, name.end())
            data_at = end.end() if end else name.end()
            return Statement("insert", text[: token.start()], name[1].decode(), data_at, through)
    return Statement("write", text)


def _format_name(text: bytes, at: int) -> re.Match[bytes] | None:
    name = re.compile(rb"\s+(\w+)").match(text, at)
    return None if name is None or name[1].lower() in _NOT_A_FORMAT else name


def _output_format(text: bytes) -> str | None:
    """The FORMAT clause of a query: the last one outside parentheses and quotes."""
    depth, found = 0, None
    for token in _TOKEN.finditer(text):
        depth += {b"(": 1, b")": -1}.get(token[0], 0)
        if depth == 0 and token[0].lower() == b"format" and (name := _format_name(text, token.end())):
            found = name[1].decode()
    return found


def _top_level(text: bytes) -> Iterator[bytes]:
    """The words outside parentheses, and an opening parenthesis where the text starts with one."""
    depth = 0
    for token in _TOKEN.finditer(text):
        if token.lastgroup in ("word", "sign") and depth == 0:
            yield token[0]
        depth += {b"(": 1, b")": -1}.get(token[0], 0)
