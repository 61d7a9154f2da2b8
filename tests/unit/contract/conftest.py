"""What several of these tests need."""

from collections.abc import Iterator

import duckdb
import pytest


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with one row of `input`, and the reference data of the tests, where 2 is there twice."""
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute(
            "CREATE TABLE input (__row BIGINT, a BIGINT, b BIGINT, c BIGINT); INSERT INTO input (__row) VALUES (1)"
        )
        products = "(VALUES (0, 7), (1, NULL), (2, 5), (2, 6), (5, 1)) AS t(k, v)"
        connection.execute(f"CREATE TABLE ref_shop__products AS FROM {products}")
        yield connection
