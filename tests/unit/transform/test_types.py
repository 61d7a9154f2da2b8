"""What a column is published as, and which values are changed on the way and so refused."""

import duckdb
import pyarrow as pa
import pytest

from headrace.transform import types

PUBLISHED = [
    ("TINYINT", pa.int32()),
    ("UINTEGER", pa.int64()),
    ("HUGEINT", pa.int64()),
    ("UBIGINT", pa.int64()),
    ("FLOAT", pa.float32()),
    ("DECIMAL(9,2)", pa.decimal128(9, 2)),
    ("TIMESTAMP_NS", pa.timestamp("us")),
    ("TIMESTAMP WITH TIME ZONE", pa.timestamp("us", tz="UTC")),
    ("TIME", pa.time64("us")),
    ("INTERVAL", pa.string()),
    ("ENUM('a', 'b')", pa.string()),
    ("UNION(a INTEGER, b VARCHAR)", pa.string()),
    ("UUID", pa.uuid()),
    ("JSON", pa.json_(pa.string())),
    ("BLOB", pa.binary()),
    ('"NULL"', pa.string()),
    ("SMALLINT[]", pa.list_(pa.int32())),
    ("INTEGER[3]", pa.list_(pa.int32())),
    ("MAP(VARCHAR, HUGEINT)", pa.map_(pa.string(), pa.int64())),
    ('STRUCT(a TINYINT, "b c" INTERVAL[])', pa.struct([("a", pa.int32()), ("b c", pa.list_(pa.string()))])),
]


@pytest.mark.parametrize(("found", "arrow"), PUBLISHED)
def test_each_type_of_duckdb_is_published_as_one_that_every_reader_knows(found: str, arrow: pa.DataType) -> None:
    assert types.arrow_type(found) == arrow
    assert types.same(types.published(types.published(found)), types.published(found))


@pytest.mark.parametrize("arrow", [arrow for _, arrow in PUBLISHED], ids=str)
def test_a_declared_type_means_the_same_to_duckdb(arrow: pa.DataType) -> None:
    kind = types.duckdb_type(arrow)
    assert types.arrow_type(kind) == arrow
    assert duckdb.connect(":memory:").execute(f"SELECT NULL::{kind}").fetchall() == [(None,)]


@pytest.mark.parametrize(
    ("value", "target", "fits"),
    [
        ("1.0::DOUBLE", "BIGINT", True),
        ("1.5::DOUBLE", "BIGINT", False),
        ("1.5::DECIMAL(4,1)", "INTEGER", False),
        ("'7'", "BIGINT", True),
        ("'7.2'", "BIGINT", False),
        ("3000000000::BIGINT", "INTEGER", False),
        ("TIMESTAMP '2024-01-01 00:00:00'", "DATE", True),
        ("TIMESTAMP '2024-01-01 00:00:01'", "DATE", False),
        ("'{\"a\": 1}'", "JSON", True),
        ("'{\"a\": '", "JSON", False),
        ("'c0ffee00-0000-4000-8000-000000000000'", "UUID", True),
        ("'c0ffee'", "UUID", False),
        ("1.239::DOUBLE", "DECIMAL(8,2)", True),  # a decimal's scale says how finely it is kept
        ("NULL::VARCHAR", "BIGINT", True),
    ],
)
def test_a_value_fits_if_it_is_not_changed(value: str, target: str, fits: bool) -> None:
    connection = duckdb.connect(":memory:")
    source = str(connection.sql(f"SELECT {value} AS v").types[0])
    [(broken,)] = connection.sql(
        f"SELECT coalesce({types.misfit('v', source, target)}, false) FROM (SELECT {value} AS v)"
    ).fetchall()
    assert broken is not fits
