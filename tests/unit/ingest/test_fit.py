"""Which texts and values fit a column."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.core.fit import fit_array, fit_texts
from services.ingest.core.types import JSON


@given(
    st.lists(
        st.one_of(st.integers(-(2**63), 2**63 - 1).map(str), st.sampled_from(["x", "1.5", "", "1e3", "９", str(2**63)]))
    )
)
def test_integers_are_read_exactly_and_the_rest_is_named(texts: list[str]) -> None:
    fitted, bad = fit_texts(pa.array(texts, pa.string()), pa.int64(), ("",))
    for text, value, misfit in zip(texts, fitted.to_pylist(), bad, strict=True):
        if text.lstrip("-").isascii() and text.lstrip("-").isdigit() and -(2**63) <= int(text) < 2**63:
            assert (value, misfit) == (int(text), False)
        else:
            assert value is None
            assert misfit == (text != "")


@pytest.mark.parametrize(
    ("text", "to", "value"),
    [
        (" 5 ", pa.int64(), "5"),
        ("1.5", pa.float64(), "1.5"),
        ("12.30", pa.decimal128(10, 2), "12.30"),
        ("true", pa.bool_(), "True"),
        ("2024-02-29", pa.date32(), "2024-02-29"),
        ("10:00:00.5", pa.time64("us"), "10:00:00.500000"),
        ("2024-01-01T00:00:00+01:00", pa.timestamp("us", "UTC"), "2023-12-31 23:00:00+00:00"),
        ("2024-01-01 00:00:00", pa.timestamp("us", "UTC"), "2024-01-01 00:00:00+00:00"),
        ("2024-01-01", pa.timestamp("us", "UTC"), "2024-01-01 00:00:00+00:00"),
        ("123e4567-e89b-12d3-a456-426614174000", pa.uuid(), "123e4567-e89b-12d3-a456-426614174000"),
        ("aGk=", pa.binary(), "b'hi'"),
        ('{"a": 1.10}', JSON, '{"a":1.10}'),
        ('{"a": 1}', pa.struct([("a", pa.int64())]), "{'a': 1}"),
    ],
)
def test_a_text_fits(text: str, to: pa.DataType, value: str) -> None:
    fitted, bad = fit_texts(pa.array([text, None]), to, ())
    assert not bad.any()
    assert [str(found) for found in fitted.to_pylist()] == [value, "None"]


@pytest.mark.parametrize(
    ("text", "to"),
    [
        ("1.5", pa.int64()),
        ("nan", pa.float64()),
        ("inf", pa.float64()),
        ("1e400", pa.float64()),
        ("9007199254740993", pa.float64()),
        ("12.345", pa.decimal128(10, 2)),
        ("yes", pa.bool_()),
        ("2023-02-29", pa.date32()),
        ("25:00:00", pa.time64("us")),
        ("2024-01-01T00:00:00+01:00", pa.timestamp("us")),
        ("not a uuid", pa.uuid()),
        ("%%%", pa.binary()),
        ("{", JSON),
        ('{"b": 1}', pa.struct([("a", pa.int64())])),
    ],
)
def test_a_text_that_does_not_fit_does_not_touch_its_neighbours(text: str, to: pa.DataType) -> None:
    fitted, bad = fit_texts(pa.array([None, text, None, text]), to, ())
    assert bad.tolist() == [False, True, False, True]
    assert fitted.null_count == 4
    assert fitted.type == to


def test_typed_columns_are_cast_without_loss_or_set_aside() -> None:
    cases: list[tuple[pa.Array[Any], pa.DataType, list[bool]]] = [
        (pa.array([1.0, 1.5]), pa.int64(), [False, True]),
        (pa.array([1, 2**40]), pa.int32(), [False, True]),
        (pa.array(["1", "x"]).dictionary_encode(), pa.string(), [False, False]),
        (pa.array([1, 2], pa.timestamp("ns")), pa.timestamp("us"), [True, True]),
    ]
    for values, to, expected in cases:
        fitted, bad = fit_array(values, to)
        assert np.array_equal(bad, expected)
        assert fitted.type == to


def test_a_double_is_a_decimal_where_its_digits_fit() -> None:
    values = [0.13, 100.0, -0.5, 0.126, 1e-7, 1e20, float("nan"), None]
    fitted, bad = fit_array(pa.array(values, pa.float64()), pa.decimal128(10, 2))
    assert bad.tolist() == [False, False, False, True, True, True, True, False]
    assert [str(value) for value in fitted.to_pylist() if value is not None] == ["0.13", "100.00", "-0.50"]
