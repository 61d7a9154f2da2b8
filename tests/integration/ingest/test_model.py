"""A model owes what every connector owes; its query is held to reading datasets, and its values arrive as they are."""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Semaphore
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr

from headrace.connector import (
    Connector,
    Ranged,
    ReadingFailed,
    SourceChanged,
    Stretch,
    Surroundings,
    WarehouseAccess,
    opened,
)
from headrace.connector.conformance import Conformance, Row, connect, rows_of
from headrace.contract.schedule import Schedule
from headrace.errors import Fatal, Transient
from services.ingest.connectors.model.columns import Given
from services.ingest.connectors.model.connector import ModelConnector
from services.ingest.connectors.model.partition_setting import Partition
from services.ingest.connectors.model.settings import ModelSource
from services.ingest.connectors.model.warehouse import ModelWarehouse
from tests.integration.warehouse.conftest import warehouse  # noqa: F401  # a fixture
from tests.integration.warehouse.server import Warehouse

ACCESS = WarehouseAccess("http://127.0.0.1:1", "reader", SecretStr("reads"), 60, 400 << 20, 1_000_000, Path())


class Model:
    """A model over one table of a warehouse."""

    def __init__(self, server: Warehouse, spool: Path, sql: str = "SELECT id, name FROM ref('{}.numbered')") -> None:
        self.server = server
        self.domain = f"t{secrets.token_hex(6)}"
        self.access = replace(ACCESS, url=server.url, spool=spool)
        self._sql = sql
        self.rows: list[Row] = [{"id": number, "name": f"n{number}"} for number in range(20)]
        server.value(f"CREATE DATABASE {self.domain}")
        server.value(
            f"CREATE TABLE {self.domain}.numbered ENGINE = MergeTree ORDER BY id AS "
            "SELECT toInt64(number) AS id, concat('n', toString(number)) AS name FROM numbers(20)"
        )

    def add(self) -> Sequence[Row]:
        """See `SourceUnderTest.add`: what is read is one result, which grows no more."""
        return []

    def connect(self, surroundings: Surroundings) -> Connector:
        """See `SourceUnderTest.connect`."""
        source = ModelSource(type="model", sql=self._sql.format(self.domain))
        return opened(source, replace(surroundings, warehouse=self.access))

    def unreachable(self) -> Connector:
        """See `SourceUnderTest.unreachable`."""
        source = ModelSource(type="model", sql="SELECT * FROM ref('nowhere.nothing')")
        return opened(source, Surroundings("a.b", warehouse=self.access))


class TestModel(Conformance):
    @pytest.fixture
    def source(self, warehouse: Warehouse, tmp_path: Path) -> Iterator[Model]:  # noqa: F811
        model = Model(warehouse, tmp_path)
        yield model
        warehouse.value(f"DROP DATABASE {model.domain}")


WINDOW = """
    SELECT id, name FROM ref('{}.numbered')
    WHERE at >= {{since:DateTime64(6, 'UTC')}} AND at < {{until:DateTime64(6, 'UTC')}}
"""


class Incremental(Model):
    """A model that gives what is new, over rows of which more come."""

    def __init__(self, server: Warehouse, spool: Path) -> None:
        super().__init__(server, spool, WINDOW)
        server.value(f"ALTER TABLE {self.domain}.numbered ADD COLUMN at DateTime64(6, 'UTC') DEFAULT now64(6)")
        server.value(f"ALTER TABLE {self.domain}.numbered MATERIALIZE COLUMN at SETTINGS mutations_sync = 2")

    def source(self) -> ModelSource:
        schedule = Schedule(every="1h")
        return ModelSource(type="model", sql=self._sql.format(self.domain), schedule=schedule, lag_s=0)

    def connect(self, surroundings: Surroundings) -> Connector:
        return opened(self.source(), replace(surroundings, warehouse=self.access))

    def say(self, select: str) -> None:
        """Let it give something else of the same rows."""
        self._sql = WINDOW.replace("SELECT id, name", select)

    def add(self) -> Sequence[Row]:
        rows = [{"id": number, "name": f"m{number}"} for number in range(100, 110)]
        values = ", ".join(f"({row['id']}, '{row['name']}')" for row in rows)
        self.server.value(f"INSERT INTO {self.domain}.numbered (id, name) VALUES {values}")
        return rows


class TestIncremental(Conformance):
    @pytest.fixture
    def source(self, warehouse: Warehouse, tmp_path: Path) -> Iterator[Model]:  # noqa: F811
        model = Incremental(warehouse, tmp_path)
        yield model
        warehouse.value(f"DROP DATABASE {model.domain}")


def test_a_window_whose_rows_changed_half_way_is_read_anew_by_key_and_else_stops(
    warehouse: Warehouse,  # noqa: F811
    tmp_path: Path,
) -> None:
    model = Incremental(warehouse, tmp_path)
    (_, position), *_ = connect(model).read(None)
    warehouse.value(f"INSERT INTO {model.domain}.numbered (id, name, at) SELECT -1, 'late', '2013-01-01 00:00:00'")
    keyed = replace(Surroundings("a.b", batch_rows=7), key=("id",))
    assert [row["id"] for row in rows_of(model.connect(keyed).read(position))] == [-1, *range(20)]
    with pytest.raises(Fatal, match="twice"):
        rows_of(connect(model).read(position))


def test_a_window_that_rows_were_published_of_is_ended_by_the_query_it_began_with(
    warehouse: Warehouse,  # noqa: F811
    tmp_path: Path,
) -> None:
    """With append nothing can be taken back; a query that is put into the file half way is for the windows that follow."""
    model = Incremental(warehouse, tmp_path)
    (first, position), *_ = connect(model).read(None)
    model.say("SELECT id * 100 AS id, 'new' AS name")
    rest = list(connect(model).read(position))
    assert [row["id"] for fetched, _ in [(first, ""), *rest] for row in fetched.rows.to_pylist()] == list(range(20))
    added = [{"id": row["id"] * 100, "name": "new"} for row in model.add()]
    assert rows_of(connect(model).read(rest[-1][1])) == added, "the next window is the new query's"
    without = json.dumps({name: value for name, value in json.loads(position).items() if name != "sql"})
    with pytest.raises(Fatal, match="twice"):  # the control: nobody knows with which it began
        rows_of(connect(model).read(without))


def test_a_stretch_is_read_again(warehouse: Warehouse, tmp_path: Path) -> None:  # noqa: F811
    model = Incremental(warehouse, tmp_path)
    warehouse.value(f"INSERT INTO {model.domain}.numbered (id, name, at) SELECT 7, 'old', '2013-01-31 00:00:00'")
    connector = connect(model)
    assert isinstance(connector, Ranged)
    year = Stretch(datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC))
    assert rows_of(connector.read_range(year, None)) == [{"id": 7, "name": "old"}]


def given(server: Warehouse, spool: Path, columns: str) -> pa.Table:
    """What a model gives that selects these columns."""
    model = Model(server, spool, f"SELECT {columns} FROM ref('{{}}.numbered') WHERE id = 7")
    steps = model.connect(Surroundings("a.b")).read(None)
    return pa.Table.from_batches([fetched.rows for fetched, _ in steps])


VALUES = {
    "count()": 1,
    "toUInt64(id)": 7,
    "toDate('2013-01-31')": "2013-01-31",
    "toDate32('1901-01-31')": "1901-01-31",
    "toDateTime('2013-01-31 12:30:00', 'Europe/Zurich')": "2013-01-31 11:30:00+00:00",
    "toDateTime64('2013-01-31 12:30:00.25', 3, 'UTC')": "2013-01-31 12:30:00.250000+00:00",
    "toLowCardinality('x')": "x",
    "toLowCardinality(CAST(NULL AS Nullable(String)))": None,
    "CAST(NULL AS Nullable(UInt64))": None,
    "toDecimal64(1.25, 2)": "1.25",
    "CAST('a' AS Enum8('a' = 1))": "a",
    "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')": "61f0c404-5cb3-11e7-907b-a6006ad3dba0",
    "toInt256('57896044618658097711785492504343953926634992332820282019728792003956564819967')": (
        "57896044618658097711785492504343953926634992332820282019728792003956564819967"
    ),
    "toFixedString('ab', 2)": "ab",
    "avg(id)": 7.0,
    "groupArray(name)": ["n7"],
    "true": True,
}


@pytest.mark.parametrize(("expression", "value"), VALUES.items(), ids=VALUES)
def test_values_arrive_as_they_are(
    warehouse: Warehouse,  # noqa: F811
    tmp_path: Path,
    expression: str,
    value: Any,
) -> None:
    by = "" if "(id)" in expression or "group" in expression or "count" in expression else ", any(id)"
    table = given(warehouse, tmp_path, f"{expression} AS v{by}" if not by else f"any({expression}) AS v")
    found = table.column("v").to_pylist()[0]
    assert (found if isinstance(value, int | float | list | None) else str(found)) == value


def test_a_number_that_is_too_large_is_refused_not_bent(warehouse: Warehouse, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(ReadingFailed, match="cannot be"):
        given(warehouse, tmp_path, "toUInt64(18446744073709551615) AS v")


def test_columns_of_the_platform_are_left_out(warehouse: Warehouse, tmp_path: Path) -> None:  # noqa: F811
    assert given(warehouse, tmp_path, "id, 1 AS _offset").column_names == ["id"]


def test_what_is_wrong_with_the_query_is_told_and_what_may_pass_is_tried_again(
    warehouse: Warehouse,  # noqa: F811
    tmp_path: Path,
) -> None:
    with pytest.raises(ReadingFailed, match="nonsense"):
        given(warehouse, tmp_path, "nonsense")
    away = Model(warehouse, tmp_path)
    away.access = replace(away.access, url="http://127.0.0.1:1")
    with pytest.raises(Transient):
        rows_of(away.connect(Surroundings("a.b")).read(None))


def test_a_dataset_without_a_row_is_waited_for_but_not_for_ever(warehouse: Warehouse, tmp_path: Path) -> None:  # noqa: F811
    model = Model(warehouse, tmp_path, "SELECT * FROM ref('{}.absent')")
    now = [0.0]
    source = ModelSource(type="model", sql=f"SELECT * FROM ref('{model.domain}.absent')", wait_s=10)
    connector = ModelConnector(source, ModelWarehouse(model.access), Surroundings("a.b"), lambda: now[0])
    assert rows_of(connector.read(None)) == []
    assert connector.waiting
    assert f"{model.domain}.absent" in connector.awaited
    now[0] = 11
    with pytest.raises(ReadingFailed, match="10 s"):
        rows_of(connector.read(None))
    warehouse.value(f"CREATE VIEW {model.domain}.absent AS SELECT 1 AS id")
    assert rows_of(connector.read(None)) == [{"id": 1}]
    assert not connector.waiting


def test_models_take_turns(warehouse: Warehouse, tmp_path: Path) -> None:  # noqa: F811
    model = Model(warehouse, tmp_path)
    model.access = replace(model.access, turns=Semaphore(1))
    second = connect(model)
    with ModelWarehouse(model.access).turn():
        assert rows_of(second.read(None)) == []
        assert second.waiting
    assert rows_of(second.read(None)) == model.rows


@pytest.mark.parametrize(
    ("limit", "sql"),
    [
        ({"most_rows": 5}, "SELECT id FROM ref('{}.numbered')"),
        ({"timeout_s": 1}, "SELECT count() FROM ref('{0}.numbered') a, ref('{0}.numbered') b, ref('{0}.numbered') c, "
         "ref('{0}.numbered') d, ref('{0}.numbered') e, ref('{0}.numbered') f, ref('{0}.numbered') g, ref('{0}.numbered') h "
         "WHERE sipHash64(a.id, b.id, c.id, d.id, e.id, f.id, g.id, h.id) = 1"),
    ],
    ids=["rows", "time"],
)  # fmt: skip
def test_a_query_that_takes_too_much_is_stopped(
    warehouse: Warehouse,  # noqa: F811
    tmp_path: Path,
    limit: dict[str, int],
    sql: str,
) -> None:
    model = Model(warehouse, tmp_path, sql)
    assert rows_of(Model(warehouse, tmp_path).connect(Surroundings("a.b")).read(None)), "the control: others are read"
    model.access = replace(model.access, **limit)  # type: ignore[arg-type]
    with pytest.raises(ReadingFailed):
        rows_of(model.connect(Surroundings("a.b")).read(None))


def test_rows_that_changed_half_way_are_not_mixed(warehouse: Warehouse, tmp_path: Path) -> None:  # noqa: F811
    model = Model(warehouse, tmp_path)
    (_, position), *_ = connect(model).read(None)
    assert rows_of(connect(model).read(position)) == model.rows[7:], "the control: nothing has changed"
    warehouse.value(f"INSERT INTO {model.domain}.numbered SELECT -1, 'before all others'")
    with pytest.raises(SourceChanged):
        rows_of(connect(model).read(position))
    warehouse.value(f"TRUNCATE TABLE {model.domain}.numbered")
    with pytest.raises(SourceChanged):
        rows_of(connect(model).read(position))


BY_DAY = "SELECT toDate(at) AS day, count() AS n, max(id) AS last FROM ref('{}.numbered') GROUP BY day"


class ByDay(Model):
    """A model over the rows of four days, by day, and what shows of it."""

    def __init__(self, server: Warehouse, spool: Path) -> None:
        super().__init__(server, spool, BY_DAY)
        self.value("ALTER TABLE {}.numbered ADD COLUMN at DateTime64(6, 'UTC') DEFAULT '2013-01-01 10:00:00'")
        self.value("ALTER TABLE {}.numbered UPDATE at = at + toIntervalDay(id % 4) WHERE 1 SETTINGS mutations_sync = 2")

    def value(self, statement: str) -> Any:
        return self.server.value(statement.format(self.domain))

    def connect(self, surroundings: Surroundings) -> ModelConnector:
        partition = Partition(column="day")
        source = ModelSource(type="model", sql=self._sql.format(self.domain), partition=partition)
        connector = opened(source, replace(surroundings, dataset=f"{self.domain}.made", warehouse=self.access))
        assert isinstance(connector, ModelConnector)
        return connector

    def show(self, rows: Sequence[Row]) -> None:
        """Have the view show these rows."""
        columns = "day Date32, n Nullable(Int64), last Nullable(Int64), partition_state String"
        self.value(f"CREATE OR REPLACE TABLE {{}}.made__g1 ({columns}) ENGINE = MergeTree ORDER BY day")
        listed = ", ".join(f"('{row['day']}', {row['n']}, {row['last']}, '{row['partition_state']}')" for row in rows)
        self.value(f"INSERT INTO {{}}.made__g1 VALUES {listed}")
        self.value("CREATE OR REPLACE VIEW {}.made AS SELECT * FROM {}.made__g1 WHERE n > 0".replace("{}", self.domain))


WHOLE, KEYED = Surroundings("a.b", batch_rows=2, whole=True), Surroundings("a.b", batch_rows=2, key=("day",))


def days(rows: Sequence[Row]) -> dict[int, tuple[Any, ...]]:
    """By the day of the month, how many there are, the last of them, and what happened to the row."""
    return {row["day"].day: (row["n"], row["last"], row.get("_op")) for row in rows}


def test_partitions_that_did_not_change_are_taken_from_what_shows(warehouse: Warehouse, tmp_path: Path) -> None:  # noqa: F811
    model = ByDay(warehouse, tmp_path)
    first = rows_of(model.connect(WHOLE).read(None))
    assert days(first) == {day + 1: (5, day + 16, None) for day in range(4)}
    model.show([{**row, "n": 1000 + row["n"]} for row in first])
    assert days(rows_of(model.connect(WHOLE).read(None))) == {day + 1: (1005, day + 16, None) for day in range(4)}
    model.value("ALTER TABLE {}.numbered UPDATE at = at + toIntervalDay(1) WHERE id = 16 SETTINGS mutations_sync = 2")
    model.value("ALTER TABLE {}.numbered DELETE WHERE id % 4 = 3 SETTINGS mutations_sync = 2")
    moved = {1: (4, 12, None), 2: (6, 17, None), 3: (1005, 18, None)}
    assert days(rows_of(model.connect(WHOLE).read(None))) == moved


def test_by_key_rows_of_partitions_that_changed_are_published_and_deletions(
    warehouse: Warehouse,  # noqa: F811
    tmp_path: Path,
) -> None:
    model = ByDay(warehouse, tmp_path)
    steps = list(model.connect(KEYED).read(None))
    first = rows_of(iter(steps))
    assert {row["_op"] for row in first} == {"insert"}
    model.show(first)
    assert rows_of(model.connect(KEYED).read(steps[-1][1])) == []
    model.value("ALTER TABLE {}.numbered DELETE WHERE id % 4 = 3 OR id = 16 SETTINGS mutations_sync = 2")
    changed = list(model.connect(KEYED).read(steps[-1][1]))
    assert days(rows_of(iter(changed))) == {1: (4, 12, "insert"), 4: (5, 19, "delete")}
    assert changed[0][0].rows.schema.names == ["day", "n", "last", "partition_state", "_op"]


def test_a_run_by_key_that_broke_off_is_read_anew(warehouse: Warehouse, tmp_path: Path) -> None:  # noqa: F811
    model = ByDay(warehouse, tmp_path)
    (begun, position), *_ = model.connect(KEYED).read(None)
    assert len(rows_of(model.connect(KEYED).read(position))) == 2, "the control: nothing has changed, the rest is read"
    model.show(begun.rows.to_pylist())  # of four rows, two have come through, and are not given again
    assert set(days(rows_of(model.connect(KEYED).read(position)))) == {3, 4}


def test_what_is_read_while_a_view_becomes_another_is_thrown_away(warehouse: Warehouse, tmp_path: Path) -> None:  # noqa: F811
    model = ByDay(warehouse, tmp_path)
    first = rows_of(model.connect(WHOLE).read(None))
    model.show(first)
    connector = model.connect(WHOLE)

    class Swapped(ModelWarehouse):
        """Another run shows while the query runs, once."""

        def columns(self, sql: str, parameters: Mapping[str, str]) -> list[Given]:
            found = super().columns(sql, parameters)
            model.value(
                "CREATE OR REPLACE VIEW {}.made AS SELECT * FROM {}.made__g1 WHERE n > 1".replace("{}", model.domain)
            )
            return found

    connector._warehouse = Swapped(model.access)
    assert rows_of(connector.read(None)) == []
    assert "another run" in connector.awaited
    assert days(rows_of(connector.read(None))) == days(first)
    assert not connector.waiting
