"""A type becomes a declaration that means the same type."""

import pyarrow as pa
import pytest

from headrace.contract import Field, arrow_type, declaration
from services.ingest.core.types import plain

TYPES = [
    pa.string(),
    pa.bool_(),
    pa.int32(),
    pa.int64(),
    pa.float32(),
    pa.float64(),
    pa.decimal128(12, 3),
    pa.date32(),
    pa.time64("us"),
    pa.timestamp("us"),
    pa.timestamp("us", "UTC"),
    pa.uuid(),
    pa.binary(),
    pa.json_(pa.string()),
    pa.list_(pa.int64()),
    pa.map_(pa.string(), pa.float64()),
    pa.struct([("a", pa.list_(pa.struct([("b", pa.date32())])))]),
]


@pytest.mark.parametrize("arrow", TYPES, ids=str)
def test_the_declaration_of_a_type_is_read_as_that_type(arrow: pa.DataType) -> None:
    declared = Field.model_validate({"name": "column", **declaration(arrow)})
    assert plain(arrow_type(declared)) == plain(arrow)


def test_an_object_whose_members_have_no_plain_names_is_json() -> None:
    assert declaration(pa.struct([("a b", pa.int64())])) == {"logicalType": "object", "physicalType": "json"}


def test_what_there_is_no_word_for_is_text() -> None:
    assert declaration(pa.duration("us")) == {"logicalType": "string"}
