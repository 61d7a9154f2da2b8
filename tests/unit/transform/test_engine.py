"""SQL of a dataset file reaches its rows and nothing else."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from headrace.errors import Fatal
from headrace.transform.engine import Engine
from headrace.transform.isolate import RowError

ROWS = pa.record_batch({"a": [1, 2]})


def attempts(folder: Path) -> list[str]:
    """What SQL might try: reading, writing, attaching, loading code, changing limits, looking into this process."""
    return [
        f"SELECT * FROM read_text('{folder}/secret.txt')",
        f"SELECT * FROM '{folder}/secret.csv'",
        f"COPY (SELECT 1) TO '{folder}/out.csv'",
        f"ATTACH '{folder}/other.db' AS other",
        "INSTALL httpfs",
        "SET memory_limit = '64GB'",
        "SET enable_external_access = true",
    ]


def test_a_locked_engine_refuses_what_is_not_computing(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("s3cret")
    (tmp_path / "secret.csv").write_text("a\n1\n")
    engine = Engine()
    for sql in attempts(tmp_path):
        with pytest.raises((Fatal, RowError)):
            engine.query(sql, ROWS)
    assert not (tmp_path / "out.csv").exists()


def test_an_engine_as_it_comes_allows_it(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("s3cret")
    found = duckdb.connect(":memory:").execute(attempts(tmp_path)[0]).fetchall()
    assert "s3cret" in str(found)


def test_sql_does_not_see_the_variables_of_the_process() -> None:
    engine = Engine()
    secret = pa.table({"password": ["s3cret"]})
    with pytest.raises(Fatal):
        engine.query("SELECT * FROM secret", ROWS)
    assert duckdb.connect(":memory:").execute("SELECT * FROM secret").fetchall() == [("s3cret",)]
    del secret


def test_a_query_that_needs_too_much_memory_fails_alone() -> None:
    engine = Engine("32MB")
    with pytest.raises(RowError, match=r"[Mm]emory"):
        engine.query("SELECT list(repeat('x', 1000) || i) FROM range(1000000) AS r(i)", ROWS)
    assert engine.query("SELECT a FROM input", ROWS).num_rows == 2


def test_rows_come_back_in_the_order_they_went_in() -> None:
    rows = pa.record_batch({"a": list(range(100_000, 0, -1))})
    assert Engine().query("SELECT a FROM input WHERE a % 3 > 0", rows).column(0).to_pylist()[:3] == [
        100_000,
        99_998,
        99_997,
    ]


def test_what_takes_longer_than_it_may_is_interrupted() -> None:
    endless = "SELECT count(*) AS n FROM range(10000000000) AS a(i), range(1000) AS b(i) WHERE a.i % 7 = b.i % 3"
    engine = Engine(time_limit_s=0.3)
    with pytest.raises(Fatal, match="longer than it may"):
        engine.query(endless, ROWS)
    with pytest.raises(Fatal, match="longer than it may"):
        engine.query("SELECT a FROM input", ROWS)
    assert Engine(time_limit_s=60).query("SELECT a FROM input", ROWS).num_rows == 2


def test_an_interrupt_that_comes_when_the_query_has_ended_leaves_no_transaction_open() -> None:
    class Late:
        """A connection whose first rollback is interrupted."""

        def __init__(self, connection: Any) -> None:
            self._connection = connection
            self._late = True

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

        def rollback(self) -> None:
            if self._late:
                self._late = False
                raise duckdb.InterruptException("INTERRUPT Error: Interrupted!")
            self._connection.rollback()

    engine: Any = Engine()
    engine._connection = Late(engine._connection)
    rows = pa.RecordBatch.from_pydict({"id": [1]})
    for _ in range(2):
        assert engine.query("SELECT id FROM input", rows).to_pylist() == [{"id": 1}]
    engine.close()
