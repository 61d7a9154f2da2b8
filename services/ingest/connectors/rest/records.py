"""How an answer becomes records, one JSON text each, and these rows of the source's schema: as lines of a JSON Lines file do."""

import codecs
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from headrace.connector import Fetched
from headrace.connector.http import Answer, Signature, shown, words
from headrace.errors import Fatal
from services.ingest.adapters.sniffer import object_types
from services.ingest.connectors.rest.paths import all_at, leads_nowhere
from services.ingest.core.faults import Fault, set_aside
from services.ingest.core.json_rows import read_lines
from services.ingest.core.json_text import Number, json_text
from services.ingest.core.typing import Typing

_KEPT_BYTES: Final = 64 << 10  # of a record over the cap


class _Repeated(dict[str, Any]):
    """An object with two fields of one name: it is written back as it was read, for the record it is in to be set aside."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self._pairs = pairs

    def items(self) -> Any:
        """Every field."""
        return self._pairs


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Repeated(pairs)


class _Numbers:
    """Reads the numbers of a document. `plain`: all so far are written as Python writes them."""

    def __init__(self) -> None:
        self.plain = True

    def read(self, text: str) -> Number:
        """A number beside its text."""
        number = Number(text)
        self.plain = self.plain and float.__repr__(number) == text
        return number


@dataclass(frozen=True, slots=True)
class Document:
    """The value of an answer. `plain`: json writes every number in it as it was written."""

    value: Any
    plain: bool


def document(answer: Answer, signature: Signature) -> Document:
    """What an answer holds; what is wrong inside a record is left in it. Errors: Fatal when it is no JSON."""
    charset = answer.headers.get("content-type", "").partition("charset=")[2].strip(' "').split(";")[0] or "utf-8"
    try:
        codecs.lookup(charset)
    except LookupError:
        charset = "utf-8"
    numbers = _Numbers()
    decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=numbers.read, parse_constant=numbers.read)
    try:
        value = decoder.decode(answer.body.removeprefix(b"\xef\xbb\xbf").decode(charset, "surrogateescape"))
    except (ValueError, RecursionError) as error:
        kind = answer.headers.get("content-type", "no content type")[:60]
        why = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise Fatal(
            f"the answer of {shown(answer.url)} is no JSON ({why}; {kind}): {words(answer, signature)}; correct source.url"
        ) from error
    return Document(value, numbers.plain)


def records(path: str, found: Any, where: str) -> list[Any]:
    """The records of an answer: the values at the path, or the items of lists there. Errors: Fatal when that leads nowhere."""
    values = all_at(path, found)
    if not values and leads_nowhere(path, found):
        names = f"the fields {', '.join(map(str, found))[:200]}" if isinstance(found, dict) else "no fields"
        raise Fatal(f"the answer of {where} has nothing at {path}; it has {names}; correct source.records")
    return [
        item
        for value in values
        if value is not None
        for item in (value if isinstance(value, list) else [value])
    ]  # fmt: skip


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))


def line_of(record: Any, plain: bool) -> bytes:
    """A record as a line. What makes it unreadable is still in it. `plain` as in `Document`: such are written far faster."""
    try:
        text = _ENCODER.encode(record) if plain else json_text(record)
    except RecursionError:
        return b"[" * 1000  # read as nested too deeply
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace")


def fetched(lines: Sequence[bytes], origins: Sequence[str], schema: pa.Schema, typing: Typing) -> Fetched:
    """The rows of records. `origins` say for a person where each was."""
    cap = typing.max_record_bytes
    short = [row for row, line in enumerate(lines) if len(line) <= cap]
    found = read_lines([lines[row] for row in short], schema, typing.evolution, object_types)
    faults = [Fault(short[fault.row], fault.reason, fault.detail, fault.column) for fault in found.faults]
    faults += [
        Fault(
            row, "too_large", f"the record has {len(line)} bytes, the cap is {cap}; at most {_KEPT_BYTES} are kept here"
        )
        for row, line in enumerate(lines)
        if len(line) > cap
    ]
    aside = set_aside(
        faults,
        lambda fault: lines[fault.row][: _KEPT_BYTES if fault.reason == "too_large" else None],
        origins.__getitem__,
    )
    return Fetched(found.rows, aside)
