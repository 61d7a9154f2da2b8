"""How a table widens with its rows, and what it refuses."""

from collections.abc import Mapping

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import Fatal
from services.loader.core.evolution import Evolution, evolve, union
from services.loader.core.table import shape
from services.loader.core.types import Type, literal, of_arrow, quoted

NUMBERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
FLOATS = [pa.float32(), pa.float64()]


def struct(**members: pa.DataType) -> pa.DataType:
    return pa.struct([pa.field(name, kind) for name, kind in members.items()])


def types() -> st.SearchStrategy[pa.DataType]:
    leaves = st.sampled_from(
        [*NUMBERS, *FLOATS, pa.string(), pa.date32(), pa.uuid(), pa.decimal128(9, 2), pa.decimal128(20, 4)]
    )
    fields = st.lists(
        st.tuples(st.sampled_from("abc"), leaves, st.booleans()), min_size=1, unique_by=lambda part: part[0]
    )
    structs = fields.map(lambda parts: pa.struct([pa.field(name, kind, nullable=null) for name, kind, null in parts]))
    inner: st.SearchStrategy[pa.DataType] = st.one_of(leaves, structs)
    return st.one_of(inner, inner.map(lambda kind: pa.list_(kind)), inner.map(lambda kind: pa.map_(pa.string(), kind)))


@given(types(), types(), st.booleans(), st.booleans())
def test_a_union_holds_both_sides(left: pa.DataType, right: pa.DataType, left_null: bool, right_null: bool) -> None:
    one, other = (
        of_arrow(kind).optional() if null else of_arrow(kind) for kind, null in ((left, left_null), (right, right_null))
    )
    both = union(one, other)
    if both is None:
        assert union(other, one) is None
        assert one != other
    else:
        assert union(both, one) == both == union(both, other)
        assert str(union(other, one)).count("Nullable") == str(both).count("Nullable")


@given(types())
def test_a_type_is_its_own_union(kind: pa.DataType) -> None:
    assert union(of_arrow(kind), of_arrow(kind)) == of_arrow(kind)


@pytest.mark.parametrize(
    ("held", "rows", "becomes"),
    [
        (pa.int32(), pa.int64(), "Int64"),
        (pa.int64(), pa.int32(), "Int64"),
        (pa.int32(), pa.float32(), "Float64"),
        (pa.float32(), pa.float64(), "Float64"),
        (pa.uint32(), pa.int32(), "Int64"),
        (pa.string(), pa.binary(), "String"),
        (pa.decimal128(9, 2), pa.decimal128(12, 4), "Decimal(12, 4)"),
        (
            struct(a=pa.int32()),
            struct(b=pa.string(), a=pa.int64()),
            "Tuple(`a` Nullable(Int64), `b` Nullable(String))",
        ),
        (pa.list_(pa.int32()), pa.list_(pa.int64()), "Array(Nullable(Int64))"),
    ],
)
def test_widening(held: pa.DataType, rows: pa.DataType, becomes: str) -> None:
    assert str(union(of_arrow(held), of_arrow(rows))) == becomes


@pytest.mark.parametrize(
    ("held", "rows"),
    [
        (pa.int64(), pa.float64()),  # would round
        (pa.uint64(), pa.int64()),
        (pa.string(), pa.int64()),
        (pa.date32(), pa.timestamp("us", tz="UTC")),
        (pa.timestamp("ms", tz="UTC"), pa.timestamp("us", tz="UTC")),
        (pa.list_(pa.string()), pa.string()),
        (struct(a=pa.int64()), struct(a=pa.string())),
        (pa.decimal256(76, 0), pa.decimal128(9, 2)),
    ],
)
def test_not_a_widening(held: pa.DataType, rows: pa.DataType) -> None:
    assert union(of_arrow(held), of_arrow(rows)) is None
    with pytest.raises(Fatal, match=r"column v of d\.t .* new generation"):
        evolve("d.t", {"v": of_arrow(held)}, {"v": of_arrow(rows)}, ())


INT, TEXT = Type("Int64"), Type("String")


@pytest.mark.parametrize(
    ("rows", "evolution"),
    [
        ({"k": INT, "v": TEXT}, Evolution({}, {})),
        ({"k": INT, "v": TEXT, "w": INT}, Evolution({"w": INT.optional()}, {})),
        ({"k": INT}, Evolution({}, {"v": TEXT.optional()})),
        ({"k": Type("Int32"), "v": TEXT.optional()}, Evolution({}, {"v": TEXT.optional()})),
    ],
)
def test_evolution(rows: Mapping[str, Type], evolution: Evolution) -> None:
    assert evolve("d.t", {"k": INT, "v": TEXT}, rows, {"k"}) == evolution


@pytest.mark.parametrize("rows", [{"v": TEXT}, {"k": INT.optional(), "v": TEXT}])
def test_what_a_table_is_sorted_by_stays(rows: Mapping[str, Type]) -> None:
    with pytest.raises(Fatal, match=r"column k of d\.t"):
        evolve("d.t", {"k": INT, "v": TEXT}, rows, {"k"})


def test_a_type_without_a_place_names_its_column() -> None:
    with pytest.raises(Fatal, match="column since cannot be loaded"):
        shape(pa.schema([pa.field("since", pa.month_day_nano_interval())]))


def test_names_and_texts_are_escaped() -> None:
    assert quoted("a`b\\") == "`a\\`b\\\\`"
    assert literal("it's \\") == "'it\\'s \\\\'"
