"""How a block of CSV becomes columns of text, and which of its records cannot.

A block whose quoting is sound is split with array arithmetic and parsed by Arrow. Any other block is read record
by record with the same grammar (RFC 4180; a quote inside an unquoted value is a character like any other), so
that only the line at fault is set aside and reading resumes at the next one.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from services.ingest.core.faults import Fault
from services.ingest.core.lines import Int64s, Spans, positions, spans_between


@dataclass(frozen=True, slots=True)
class Dialect:
    """The characters of a CSV file. Both are one ASCII character; a quote inside a quoted value is doubled."""

    delimiter: str = ","
    quote: str = '"'
    null_values: tuple[str, ...] = ("", "NA")


@dataclass(frozen=True, slots=True)
class Texts:
    """The records of a block.

    Shapes: `spans` has all n of them, good and bad; `rows` are the indexes of the m readable ones, and each
    column has m texts, null where an unquoted value is a null marker.
    """

    spans: Spans
    rows: Int64s
    columns: list[pa.StringArray]
    faults: list[Fault]


def parse(block: bytes, dialect: Dialect, width: int, *, final: bool, most: int, limit: int) -> Texts:
    """The records at the start of `block`, at most `most` of them, that have `width` fields.

    With `final` nothing follows the block. A record over `limit` bytes is `too_large`; a quote that is not closed within
    `limit` bytes is `unreadable_row`. When `consumed` is 0 the block has to grow: it holds no line end, or less than `limit`.
    """
    found = _parse_sound(block, dialect, width, final, most, limit)
    return found if found is not None else _parse_each(block, dialect, width, final, most, limit)


def header_of(record: bytes, dialect: Dialect) -> list[str] | None:
    """The fields of a header line; None when it cannot be read."""
    fields = _fields(record, dialect)
    return None if fields is None else [text for text, _ in fields]


def _parse_sound(block: bytes, dialect: Dialect, width: int, final: bool, most: int, limit: int) -> Texts | None:
    """The records of a block whose quoting is sound throughout; None when it has to be read with care."""
    quotes = positions(block, dialect.quote.encode())
    if not _sound(block, quotes, dialect, final) or block.count(b"\r") != block.count(b"\r\n"):
        return None
    newlines = positions(block, b"\n")
    spans = spans_between(block, _outside(newlines, quotes), newlines, final, most)
    if not len(spans) or (not final and spans.consumed == 0):
        return Texts(spans, spans.start, _no_texts(width), []) if len(block) < limit or not len(newlines) else None
    delimiters = _outside(positions(block, dialect.delimiter.encode()), quotes)
    fields = 1 + np.searchsorted(delimiters, spans.stop) - np.searchsorted(delimiters, spans.start)
    size = spans.stop - spans.start
    bad = np.flatnonzero((fields != width) | (size > limit))
    if any(b"\n" in block[spans.start[row] : spans.stop[row]] for row in bad):
        return None
    faults = [_misfit(int(row), int(fields[row]), width, int(size[row]), limit) for row in bad]
    good = np.flatnonzero((fields == width) & (size <= limit))
    body = block[: spans.consumed]
    if len(faults):
        body = b"\n".join(block[start:stop] for start, stop in zip(spans.start[good], spans.stop[good], strict=True))
    columns = _columns(body, dialect, width)
    if columns is None or len(columns[0]) != len(good):
        return None
    return Texts(spans, good, columns, faults)


def _sound(block: bytes, quotes: Int64s, dialect: Dialect, final: bool) -> bool:
    """Whether every quote opens a value, closes one, or is doubled inside one."""
    if not len(quotes):
        return True
    if final and len(quotes) % 2:
        return False
    around = np.frombuffer(b"\n" + block + b"\n", np.uint8)
    stops = np.zeros(256, bool)
    stops[[ord(dialect.quote), ord(dialect.delimiter), 10]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    doubled = np.concatenate([[False], opening[1:] - 1 == closing[: len(opening) - 1]])  # right behind one that closes
    before = around[opening]
    after = around[closing + 2]
    opens = doubled | (stops[before] & (before != ord(dialect.quote)))
    return bool(opens.all() and (stops[after] | (after == 13)).all())


def _outside(offsets: Int64s, quotes: Int64s) -> Int64s:
    """Those of `offsets` that are not inside a quoted value."""
    return offsets[np.searchsorted(quotes, offsets) % 2 == 0] if len(quotes) else offsets


def _columns(body: bytes, dialect: Dialect, width: int) -> list[pa.StringArray] | None:
    if not body:
        return _no_texts(width)
    names = [str(number) for number in range(width)]
    if not body.endswith(b"\n"):
        body += b"\n"  # Arrow takes an empty last field of an unended line for a quoted one
    try:
        table = pacsv.read_csv(
            pa.BufferReader(body),  # type: ignore[arg-type]
            read_options=pacsv.ReadOptions(column_names=names, use_threads=False, block_size=len(body) + 1),
            parse_options=pacsv.ParseOptions(
                delimiter=dialect.delimiter, quote_char=dialect.quote, newlines_in_values=True
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=list(dialect.null_values),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    return [_whole(column) for column in table.columns]


def _whole(column: pa.ChunkedArray) -> pa.StringArray:
    return cast(pa.StringArray, column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks))


def _no_texts(width: int) -> list[pa.StringArray]:
    return [pa.array([], pa.string()) for _ in range(width)]


def _misfit(row: int, fields: int, width: int, size: int, limit: int) -> Fault:
    if size > limit:
        return Fault(row, "too_large", f"the record has {size} bytes, the cap is {limit}")
    return Fault(row, "unreadable_row", f"{fields} fields where the header has {width}")


@dataclass(frozen=True, slots=True)
class _Grammar:
    record: re.Pattern[bytes]
    unclosed: re.Pattern[bytes]
    field: re.Pattern[bytes]


@cache
def _grammar(dialect: Dialect) -> _Grammar:
    quote, delimiter = re.escape(dialect.quote.encode()), re.escape(dialect.delimiter.encode())
    inside = b"(?:[^%b]|%b%b)*+" % (quote, quote, quote)
    quoted = b"%b%b%b(?=%b|\\r?\\n|\\r?\\Z)" % (quote, inside, quote, delimiter)
    bare = b"[^%b%b\\n][^%b\\n]*+" % (quote, delimiter, delimiter)
    field = b"(?:%b|%b)?+" % (quoted, bare)
    return _Grammar(
        re.compile(b"%b(?:%b%b)*+\\r?(?:\\n|\\Z)" % (field, delimiter, field)),
        re.compile(b"(?:%b%b)*+%b%b\\Z" % (field, delimiter, quote, inside)),
        re.compile(b"(?:\\A|%b)(?:(%b)|(%b)|)" % (delimiter, quoted, bare)),
    )


def _fields(record: bytes, dialect: Dialect) -> list[tuple[str, bool]] | None:
    """(text, quoted) of each field of one record without its line end; None when it is not UTF-8."""
    quote = dialect.quote
    found: list[tuple[str, bool]] = []
    try:
        for match in _grammar(dialect).field.finditer(record):
            quoted, bare = match.groups()
            if quoted is not None:
                found.append((quoted[1:-1].decode().replace(quote * 2, quote), True))
            else:
                found.append(((bare or b"").decode(), False))
    except UnicodeDecodeError:
        return None
    return found


def _parse_each(block: bytes, dialect: Dialect, width: int, final: bool, most: int, limit: int) -> Texts:
    """The records of a block, one after the other; a line that breaks the grammar is set aside alone."""
    grammar, nulls = _grammar(dialect), frozenset(dialect.null_values)
    spans: list[tuple[int, int]] = []
    rows: list[list[str | None]] = []
    good: list[int] = []
    faults: list[Fault] = []
    at = 0
    while at < len(block) and len(spans) < most:
        match = grammar.record.match(block, at)
        complete = match is not None and (final or block[match.end() - 1] == 10)
        line_stop = block.find(b"\n", at) + 1 or len(block)
        if not final and not complete and _may_go_on(grammar, block, at, limit):
            break
        stop = match.end() if match is not None and complete else 0
        fields = _fields(_stripped(block[at:stop]), dialect) if stop else None
        start = at
        whole_line = not stop or (stop > line_stop and (fields is None or len(fields) != width))
        at = line_stop if whole_line else stop
        record = _stripped(block[start:at])
        if not record:
            continue
        row = len(spans)
        spans.append((start, start + len(record)))
        if len(record) > limit:
            faults.append(_misfit(row, 0, width, len(record), limit))
        elif whole_line:
            faults.append(Fault(row, "unreadable_row", "a quote is not closed, or text follows a closing quote"))
        elif fields is None:
            faults.append(Fault(row, "unreadable_row", "the bytes are not UTF-8"))
        elif len(fields) != width:
            faults.append(_misfit(row, len(fields), width, 0, limit))
        else:
            good.append(row)
            rows.append([None if text in nulls and not quoted else text for text, quoted in fields])
    return _gathered(block, spans, at, good, rows, faults, width)


def _may_go_on(grammar: _Grammar, block: bytes, at: int, limit: int) -> bool:
    """Whether the record at `at`, which the block does not complete, may be complete once the block has grown."""
    if block.find(b"\n", at) < 0:
        return True
    open_ended = grammar.record.match(block, at) or grammar.unclosed.match(block, at)
    return len(block) - at < limit and open_ended is not None


def _stripped(record: bytes) -> bytes:
    return record.removesuffix(b"\n").removesuffix(b"\r")


def _gathered(
    block: bytes,
    spans: list[tuple[int, int]],
    consumed: int,
    good: list[int],
    rows: list[list[str | None]],
    faults: list[Fault],
    width: int,
) -> Texts:
    newlines = positions(block, b"\n")
    start = np.array([start for start, _ in spans], np.int64)
    stop = np.array([stop for _, stop in spans], np.int64)
    lines = int(np.searchsorted(newlines, consumed))
    found = Spans(start, stop, np.searchsorted(newlines, start), consumed, lines)
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)] if rows else _no_texts(width)
    return Texts(found, np.array(good, np.int64), columns, faults)
