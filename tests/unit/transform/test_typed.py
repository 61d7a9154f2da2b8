"""Rows that a test writes down get the type that is declared, or the narrowest that all their values have."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contract.row_text import rows_of
from headrace.transform.engine import Engine
from headrace.transform.typed import UnfitError, typed

ZONED = pa.timestamp("us", "UTC")
LIST = pa.list_(pa.field("l", pa.int64()))


def column(written: Any, kind: str | None = None, hint: str | None = None) -> pa.Array:
    """The one column of these rows."""
    name = rows_of(written).columns[0]
    kinds, hints = ({name: text} if text else {} for text in (kind, hint))
    return typed(Engine(), rows_of(written), kinds, hints).column(0)


@pytest.mark.parametrize(
    ("cells", "arrow"),
    [
        (["1", "-20", ""], pa.int64()),
        (["007"], pa.string()),
        (["1", "2.5"], pa.float64()),
        (["1e3"], pa.float64()),
        (["true", "FALSE"], pa.bool_()),
        (["2024-01-02"], pa.date32()),
        (["2024-13-02"], pa.string()),
        (["2024-01-02 03:04"], pa.timestamp("us")),
        (["2024-01-02T03:04:05Z", "2024-01-02 03:04:05+02:00"], ZONED),
        (["1", "x"], pa.string()),
        (["99999999999999999999"], pa.float64()),
    ],
)
def test_cells_of_csv_have_the_narrowest_type_that_all_can_be_read_as(cells: list[str], arrow: pa.DataType) -> None:
    found = column("a,b\n" + "".join(f"{cell},x\n" for cell in cells))
    assert found.type == arrow
    assert found.null_count == cells.count("")


@pytest.mark.parametrize(
    ("values", "arrow"),
    [
        ([1, None], pa.int64()),
        ([1, 2.5], pa.float64()),
        ([True], pa.bool_()),
        (["1"], pa.string()),
        (["2024-01-02"], pa.date32()),
        ([None], pa.null()),
        ([1, "x"], pa.string()),
        ([[1, 2], []], LIST),
        ([{"x": 1}], pa.struct([pa.field("x", pa.int64())])),
    ],
)
def test_other_values_keep_the_type_they_have(values: list[Any], arrow: pa.DataType) -> None:
    assert column([{"a": value} for value in values]).type == arrow


def test_lines_of_json_are_what_a_list_of_mappings_is() -> None:
    lines = '{"a": 1, "b": "x"}\n\n{"a": 2, "b": null}\n'
    found = typed(Engine(), rows_of(lines), {}, {})
    assert found == typed(Engine(), rows_of([{"a": 1, "b": "x"}, {"a": 2, "b": None}]), {}, {})


def test_a_declared_type_is_kept_to() -> None:
    assert column([{"a": "7"}], kind="DECIMAL(8, 2)").type == pa.decimal128(8, 2)
    nested = column([{"a": {"x": 1, "at": "2024-01-02"}}], kind='STRUCT("x" INT, "at" DATE)')
    assert str(nested[0].as_py()) == "{'x': 1, 'at': datetime.date(2024, 1, 2)}"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("x", "INT"),
        (1.5, "BIGINT"),
        ("1.005", "DECIMAL(8, 2)"),
        (3_000_000_000, "INT"),
        ([1, "x"], "INT[]"),
        ({"x": "q"}, "STRUCT(x INT)"),
        ({"y": 1}, "STRUCT(x INT)"),
    ],
)
def test_a_value_that_its_declared_type_would_change_is_refused(value: Any, kind: str) -> None:
    with pytest.raises(UnfitError, match="a of row 2"):
        column([{"a": None}, {"a": value}], kind=kind)


def test_a_hint_is_taken_only_if_every_value_fits() -> None:
    assert column([{"a": "1"}, {"a": None}], hint="INT").type == pa.int32()
    assert column([{"a": "1"}, {"a": "x"}], hint="INT").type == pa.string()


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(
        st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False), max_size=8
    )
)
def test_no_value_is_changed_by_its_type(values: list[Any]) -> None:
    exact = all(not isinstance(value, int) for value in values) or all(isinstance(v, int | None) for v in values)
    found = typed(Engine(), rows_of([{"a": value, "b": 1} for value in values]), {}, {})
    if values and exact:
        assert found.column(0).to_pylist() == values
