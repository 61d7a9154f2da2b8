"""How a column of MySQL or MariaDB is read, by what the protocol says of it.

Exactly, or not at all: connectorx holds no decimals of more than 28 digits, no zero dates, and no times beyond a day.
"""

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from services.ingest.connectors.sql.statements import Column

_BINARY: Final = 63  # the character set of what has none
_UNSIGNED: Final = 32
_TEXT: Final = "CAST({} AS CHAR)"
_A_DATE: Final = "YEAR({}) AND MONTH({}) AND DAYOFMONTH({})"
_MOST_DIGITS: Final = 38

_DECIMAL, _TINY, _SHORT, _LONG, _FLOAT, _DOUBLE, _TIMESTAMP, _LONGLONG, _INT24 = 0, 1, 2, 3, 4, 5, 7, 8, 9
_DATE, _DATETIME, _YEAR, _NEWDATE, _BIT, _JSON, _NEWDECIMAL, _GEOMETRY = 10, 12, 13, 14, 16, 245, 246, 255
_STRINGS: Final = (15, 247, 248, 249, 250, 251, 252, 253, 254)

_INTEGERS: Final = {
    (_TINY, False): pa.int32(),
    (_SHORT, False): pa.int32(),
    (_INT24, False): pa.int32(),
    (_LONG, False): pa.int32(),
    (_TINY, True): pa.int32(),
    (_SHORT, True): pa.int32(),
    (_INT24, True): pa.int32(),
    (_LONG, True): pa.int64(),
    (_LONGLONG, False): pa.int64(),
    (_LONGLONG, True): pa.uint64(),
}


@dataclass(frozen=True, slots=True)
class Described:
    """A column as the protocol describes it."""

    name: str
    code: int
    flags: int = 0
    charset: int = 45
    length: int = 0
    scale: int = 0


def column(of: Described) -> Column:
    """How it is read."""
    unsigned = bool(of.flags & _UNSIGNED)
    if (of.code, unsigned) in _INTEGERS:
        return Column(of.name, _INTEGERS[of.code, unsigned])
    if of.code == _YEAR:
        return Column(of.name, pa.int32())
    if of.code == _FLOAT:
        return Column(of.name, pa.float32())
    if of.code == _DOUBLE:
        return Column(of.name, pa.float64())
    if of.code in (_DECIMAL, _NEWDECIMAL):
        digits = of.length - (0 if unsigned else 1) - (1 if of.scale else 0)
        return Column(of.name, pa.decimal128(digits, of.scale) if digits <= _MOST_DIGITS else pa.string(), _TEXT)
    if of.code in (_DATE, _NEWDATE):
        return _moment(of.name, pa.date32())
    if of.code == _DATETIME:
        return _moment(of.name, pa.timestamp("us"))
    if of.code == _TIMESTAMP:
        return _moment(of.name, pa.timestamp("us", "UTC"))
    if of.code == _BIT:
        return _bits(of)
    if of.code in _STRINGS:
        return Column(of.name, pa.binary() if of.charset == _BINARY else pa.string())
    return Column(of.name, pa.string(), "ST_AsText({})" if of.code == _GEOMETRY else _TEXT)


def _moment(name: str, type: pa.DataType) -> Column:
    """A zero date, such as 0000-00-00, is no value."""
    return Column(name, type, f"IF({_A_DATE}, {{}}, NULL)", f"({_A_DATE})")


def _bits(of: Described) -> Column:
    if of.length == 1:
        return Column(of.name, pa.bool_(), "CAST({} AS UNSIGNED)")
    return Column(of.name, pa.uint64(), "CAST({} AS UNSIGNED)")
