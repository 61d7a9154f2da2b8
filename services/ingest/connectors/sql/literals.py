"""Values as literals of SQL, for databases that are given no parameters.

A text or a blob is written as the hexadecimal digits of its bytes, and anything else only when it has the form of its type:
no value can end its literal, whatever the server's modes and character sets are.
"""

import re
from typing import Any, Final

import pyarrow as pa

_T: Final = pa.types
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)
_MOMENT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})?[ T]?([0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?)?([+-]00:00)?", re.ASCII
)


def number(value: Any) -> str:
    """A number, exactly. Errors: ValueError when it is none."""
    if isinstance(value, float):
        text = repr(value)
        if text in ("inf", "-inf", "nan"):
            raise ValueError(f"{text} is no number that SQL could write")
        return text if "e" in text else f"{text}e0"
    text = str(value)
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no number")
    return text


def moment(value: Any) -> str:
    """The text of a date, a time or both, in UTC where it has a zone; nothing in it needs quoting. Errors: ValueError."""
    text = str(value)
    if not text or not _MOMENT.fullmatch(text):
        raise ValueError(f"{text!r} is no date or time")
    return re.sub(r"[+-]00:00$", "", text).replace("T", " ")


def is_number(type: pa.DataType) -> bool:
    """Whether values of a type are written as numbers."""
    return bool(_T.is_integer(type) or _T.is_floating(type) or _T.is_decimal(type))


def is_moment(type: pa.DataType) -> bool:
    """Whether values of a type are written as dates or times."""
    return bool(_T.is_temporal(type))


def mysql(type: pa.DataType, value: Any) -> str:
    """A value to compare a column of MySQL or MariaDB with."""
    if is_number(type):
        return number(value)
    if is_moment(type):
        return f"'{moment(value)}'"
    if _T.is_boolean(type):
        return "1" if str(value) == "True" else "0"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    return f"_utf8mb4 X'{str(value).encode().hex()}'"


def sqlserver(type: pa.DataType, value: Any, kind: str = "") -> str:
    """A value to compare a column of SQL Server with; `kind` is the database's name of the column's type."""
    if is_number(type):
        return number(value)
    if is_moment(type):
        zoned = _T.is_timestamp(type) and type.tz is not None
        exact = "DATETIMEOFFSET(7)" if zoned else "TIME(7)" if _T.is_time(type) else "DATETIME2(7)"
        text = f"CAST('{moment(value).replace(' ', 'T')}{'+00:00' if zoned else ''}' AS {exact})"
        return f"CAST({text} AS {kind.upper()})" if kind in ("datetime", "smalldatetime") else text
    if _T.is_boolean(type):
        return "1" if str(value) == "True" else "0"
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    units = str(value).encode("utf-16-le")
    return f"CAST(0x{units.hex()} AS NVARCHAR({'4000' if len(units) <= 8000 else 'MAX'}))"


def oracle(type: pa.DataType, value: Any, kind: str = "") -> str:
    """A value to compare a column of Oracle with; `kind` says of a column that is read as text that it is a number."""
    if is_number(type) or kind == "number":
        return number(value)
    if is_moment(type):
        zone = " +00:00" if _T.is_timestamp(type) and type.tz else ""
        return f"TIMESTAMP '{moment(value)}{zone}'"
    if isinstance(value, bytes):
        return f"HEXTORAW('{value.hex()}')"
    units = str(value).encode("utf-16-be")
    return "TO_CHAR(UNISTR('" + "".join(f"\\{units[at : at + 2].hex()}" for at in range(0, len(units), 2)) + "'))"
