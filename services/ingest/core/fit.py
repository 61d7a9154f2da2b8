"""Which values fit a column's type: whole arrays at once where Arrow can, value by value where it cannot.

Nothing is rounded, cut or guessed: a value is represented exactly, or it does not fit. Only a fraction in a column of
doubles becomes the nearest double.
"""

import base64
import json
import math
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.ingest.core.json_text import Number, json_text, strict_json

_T: Final = pa.types
Mask = npt.NDArray[np.bool_]


class Misfit(ValueError):
    """A value that does not fit its column's type; the text says which and why. Never leaves this package."""


def fit_array(values: pa.Array, to: pa.DataType) -> tuple[pa.Array, Mask]:
    """`values` as type `to`, and which of them do not fit (they are null in the result)."""
    none = np.zeros(len(values), bool)
    if values.type == to:
        return values, none
    try:
        return _cast(values, to), none
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, Misfit):
        return _cast_each(values, to)


def fit_texts(values: pa.StringArray, to: pa.DataType, nulls: Sequence[str]) -> tuple[pa.Array, Mask]:
    """Texts as type `to`, and which of them do not fit.

    White space around a value counts only in a column of texts. What does not fit but is a null marker (it was quoted) is null.
    """
    if _T.is_string(to):
        return values, np.zeros(len(values), bool)
    try:
        return _cast(values, to), np.zeros(len(values), bool)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, Misfit):
        trimmed = pc.utf8_trim_whitespace(values)
    fitted, bad = fit_array(trimmed, to)
    is_null = pc.is_in(trimmed, value_set=pa.array(nulls, pa.string())).to_numpy(zero_copy_only=False)
    return fitted, bad & ~is_null


def _cast_each(values: pa.Array, to: pa.DataType) -> tuple[pa.Array, Mask]:
    """Cast with the misfits found by halving: each distinct value is tried at most once for each level."""
    if _T.is_nested(values.type) or isinstance(values.type, pa.BaseExtensionType):
        fitted, bad = _halved(values, to)
        return fitted, bad
    encoded = values.dictionary_encode()
    fitted, bad_entries = _halved(encoded.dictionary, to)
    index = encoded.indices
    bad = np.zeros(len(values), bool)
    present = index.is_valid().to_numpy(zero_copy_only=False)
    bad[present] = bad_entries[index.drop_null().to_numpy()]
    return fitted.take(index), bad


def _halved(values: pa.Array, to: pa.DataType) -> tuple[pa.Array, Mask]:
    try:
        return _cast(values, to), np.zeros(len(values), bool)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, Misfit):
        if len(values) == 1:
            return pa.array([None], to), np.ones(1, bool)
    half = len(values) // 2
    left, left_bad = _halved(values.slice(0, half), to)
    right, right_bad = _halved(values.slice(half), to)
    return pa.concat_arrays([left, right]), np.concatenate([left_bad, right_bad])


def _cast(values: pa.Array, to: pa.DataType) -> pa.Array:
    """All of `values` as `to`. Errors: ArrowInvalid, ArrowNotImplementedError or Misfit when one of them does not fit."""
    if not _T.is_string(values.type):
        if isinstance(to, pa.BaseExtensionType):
            return _by_value(values, to)
        if _T.is_floating(values.type) and _T.is_decimal(to):
            return values.cast(pa.string()).cast(to)  # by its shortest text: Arrow would round the number
        return values.cast(to)
    if _T.is_floating(to):
        numbers = values.cast(to)
        if pc.all(pc.is_finite(numbers)).as_py() is False:
            raise Misfit("not a finite number")
        if not all(int(text) == int(float(text)) for text in _long_integers(values)):
            raise Misfit("an integer that no double is equal to")
        return numbers
    if _T.is_timestamp(to) and to.tz:
        return _instants(values, to)
    if _T.is_time(to):
        return pc.replace_substring_regex(values, "^", "1970-01-01T").cast(pa.timestamp("us")).cast(to)
    if isinstance(to, pa.BaseExtensionType) or _T.is_nested(to) or _T.is_binary(to):
        return _by_value(values, to)
    return values.cast(to)


def _long_integers(values: pa.Array) -> list[str]:
    """The texts of integers that may have more digits than a double holds."""
    long = pc.match_substring_regex(values, r"^[+-]?\d{16,}$")
    return [str(text) for text in values.filter(long)] if pc.any(long).as_py() else []


def _instants(values: pa.Array, to: pa.DataType) -> pa.Array:
    """Instants of texts; a text without a zone is in UTC."""
    try:
        return values.cast(to)
    except pa.ArrowInvalid:
        zoned = pc.match_substring_regex(values, r"(?:[Zz]|[+-]\d\d(?::?\d\d)?)$")
        dated = pc.and_(zoned, pc.match_substring_regex(values, r"^.{11}"))  # the day of 2013-01-01 is not a zone
        nothing = pa.scalar(None, pa.string())
        with_zone = pc.if_else(dated, values, nothing).cast(to)
        without = pc.if_else(dated, nothing, values).cast(pa.timestamp("us")).cast(pa.int64()).cast(to)
        return pc.coalesce(with_zone, without)


def _by_value(values: pa.Array, to: pa.DataType) -> pa.Array:
    """Cast in Python, for the types whose texts Arrow cannot read: JSON and what is nested are read as JSON texts."""
    found = values.to_pylist()
    if (_T.is_nested(to) or isinstance(to, pa.JsonType)) and _T.is_string(values.type):
        found = [None if text is None else _parsed(text) for text in found]
    return array_of([fit_value(value, to) for value in found], to)


def _parsed(text: str) -> Any:
    try:
        return strict_json(text)
    except (ValueError, RecursionError) as error:
        raise Misfit(f"not JSON: {error}") from error


def array_of(values: list[Any], to: pa.DataType) -> pa.Array:
    """An array of values that `fit_value` gave."""
    if isinstance(to, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(to, pa.array(values, to.storage_type))
    return pa.array(values, to)


def fit_value(value: Any, to: pa.DataType) -> Any:
    """A parsed JSON value as `pa.array` wants it for type `to`. Errors: Misfit."""
    return None if value is None else converter(to)(value)


#: A parsed JSON value, never null, as `pa.array` wants it. Errors: Misfit.
Converter = Callable[[Any], Any]


@cache
def converter(to: pa.DataType) -> Converter:
    """How values become those of type `to`."""
    convert = next((made for matches, made in _CONVERSIONS if matches(to)), None)
    if convert is None:
        return _unreadable(to)

    def converted(value: Any) -> Any:
        try:
            return convert(value, to)
        except Misfit:
            raise
        except (pa.ArrowInvalid, ArithmeticError, ValueError) as error:
            raise _misfit(value, to) from error

    return converted


def _unreadable(to: pa.DataType) -> Converter:
    def refused(_: Any) -> Any:
        raise Misfit(f"no value of type {to} can be read from this source")

    return refused


def _misfit(value: Any, to: pa.DataType) -> Misfit:
    shown = json.dumps(value, default=str)
    return Misfit(f"{shown if len(shown) <= 80 else shown[:77] + '...'} is not {name_of(to)}")


def name_of(arrow: pa.DataType) -> str:
    """A type as a person calls it."""
    return "a JSON value" if isinstance(arrow, pa.JsonType) else f"of type {arrow}"


def _integer(value: Any, to: pa.DataType) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    whole = whole or (isinstance(value, float) and value.is_integer() and abs(value) <= 2**53)
    number = int(value) if whole else 0
    if not whole or (number.bit_length() > to.bit_width - 1 and number != -(1 << to.bit_width - 1)):
        raise _misfit(value, to)
    return number


def _floating(value: Any, to: pa.DataType) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(number := float(value)):
        raise _misfit(value, to)
    if isinstance(value, int) and int(number) != value:
        raise _misfit(value, to)
    return number


def _text(value: Any, to: pa.DataType) -> str:
    if not isinstance(value, str):
        raise _misfit(value, to)
    return value


def _boolean(value: Any, to: pa.DataType) -> bool:
    if not isinstance(value, bool):
        raise _misfit(value, to)
    return value


def _decimal(value: Any, to: pa.DataType) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _misfit(value, to)
    number = Decimal(value.text if isinstance(value, Number) else str(value))
    return pa.scalar(number).cast(to).as_py()  # type: ignore[no-any-return]


def _parsed_text(value: Any, to: pa.DataType) -> Any:
    return _cast(pa.array([_text(value, to).strip()]), to)[0].as_py()


def _object(value: Any, to: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _misfit(value, to)
    if unknown := value.keys() - {field.name for field in to.fields}:
        raise Misfit(f"the field {sorted(unknown)[0]!r} is not part of the column's type")
    return {field.name: fit_value(value.get(field.name), field.type) for field in to.fields}


def _items(value: Any, to: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _misfit(value, to)
    return [fit_value(item, to.value_type) for item in value]


def _pairs(value: Any, to: Any) -> list[tuple[Any, Any]]:
    if not isinstance(value, dict):
        raise _misfit(value, to)
    return [(fit_value(key, to.key_type), fit_value(item, to.item_type)) for key, item in value.items()]


_CONVERSIONS: Final[tuple[tuple[Any, Any], ...]] = (
    (lambda t: isinstance(t, pa.JsonType), lambda value, _: json_text(value)),
    (lambda t: isinstance(t, pa.UuidType), lambda value, to: uuid.UUID(_text(value, to)).bytes),
    (_T.is_integer, _integer),
    (_T.is_floating, _floating),
    (_T.is_string, _text),
    (_T.is_boolean, _boolean),
    (_T.is_decimal, _decimal),
    (_T.is_binary, lambda value, to: base64.b64decode(_text(value, to), validate=True)),
    (_T.is_temporal, _parsed_text),
    (_T.is_struct, _object),
    (_T.is_map, _pairs),
    (_T.is_list, _items),
)
