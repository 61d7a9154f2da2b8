"""What people find in the warehouse: the view, its columns and comments, upserts, retention, changing rows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client

from headrace.contract import Contract
from headrace.errors import Fatal
from headrace.stream.columns import TRANSFORMED_FIELDS
from headrace.stream.pump import Delivery, Portion, Work
from headrace.stream.stage import Batch, Records
from services.loader.adapters.clickhouse import ClickHouse
from services.loader.adapters.sink import WarehouseSink
from services.loader.core.showing import OutrankedError
from services.loader.core.stage import LoaderStage
from services.loader.core.table import Table, published
from tests.integration.loader.conftest import Connect
from tests.integration.loader.work import POSITION, Group, epochs

NOW = datetime.now(UTC)


def contract(database: str, **sections: Any) -> Contract:
    return Contract.model_validate(
        {
            "dataset": f"{database}.orders",
            "description": "One row per order; it's a test.",
            "owner": {"team": "Tests"},
            "source": {"type": "http_push"},
            **sections,
        }
    )


def struct(**members: pa.DataType) -> pa.DataType:
    return pa.struct([pa.field(name, kind) for name, kind in members.items()])


def row(offset: int, op: str = "insert", **values: Any) -> dict[str, Any]:
    system = {
        "_partition": 0,
        "_offset": offset,
        "_seq": 0,
        "_ingested_at": NOW,
        "_op": op,
        "_version": 1,
        "_flags": [],
    }
    return system | values


class Loader:
    """A dataset's stage and sink, fed with rows."""

    def __init__(self, connect: Connect, found: Contract) -> None:
        self.table = published(found, 1)
        self._stage = LoaderStage("loader", self.table)
        self._sink = WarehouseSink(Group(), connect(), self.table, "me")

    def load(self, user: dict[str, pa.DataType | pa.Field], *rows: dict[str, Any]) -> Work:
        fields = [kind if isinstance(kind, pa.Field) else pa.field(name, kind) for name, kind in user.items()]
        batch = pa.RecordBatch.from_pylist(list(rows), schema=pa.schema([*fields, *TRANSFORMED_FIELDS]))
        offsets = pa.array([one["_offset"] for one in rows], pa.int64())
        n = len(rows)
        records = Records("t", pa.array([0] * n, pa.int32()), offsets, offsets, [None] * n, [b""] * n)
        read = Batch(records, batch, 1)
        work = Work(POSITION, Delivery(records, {}, None, next(epochs)), (Portion(read, self._stage(read)),), (), ())
        self._sink.commit(work)
        return work


def test_the_view_shows_the_users_columns_first(connect: Connect, client: Client, database: str) -> None:
    fields = [{"name": "note", "logicalType": "string", "description": "What's `said`"}]
    loader = Loader(connect, contract(database, schema={"fields": fields}))
    loader.load({"id": pa.int64(), "note": pa.string()}, row(0, id=1, note="x", _flags=["odd"]))
    columns = client.query(
        f"SELECT name, type, comment FROM system.columns WHERE database = '{database}' AND table = 'orders'"
    ).result_rows
    assert [name for name, _, _ in columns] == ["id", "note", *(field.name for field in TRANSFORMED_FIELDS)]
    comments = {name: comment for name, _, comment in columns}
    assert comments["note"] == "What's `said`"
    assert comments["_offset"].startswith("Offset of the raw record")
    assert {name: kind for name, kind, _ in columns}["_flags"] == "Array(String)"
    shown = client.query(f"SELECT id, note, _flags, _op FROM {database}.orders").result_rows
    assert shown == [(1, "x", ["odd"], "insert")]
    about = client.query(
        f"SELECT name, comment FROM system.tables WHERE database = '{database}' ORDER BY name"
    ).result_rows
    assert about == [("orders", "One row per order; it's a test."), ("orders__g1", "One row per order; it's a test.")]


KEYED: dict[str, Any] = {"key": ["id"], "load": {"mode": "upsert"}}


def test_upsert_keeps_the_latest_of_each_key_and_drops_the_deleted(
    connect: Connect, client: Client, database: str
) -> None:
    loader = Loader(connect, contract(database, **KEYED))
    columns: dict[str, Any] = {"id": pa.field("id", pa.int64(), nullable=False), "v": pa.string()}
    loader.load(columns, row(0, id=1, v="a"), row(1, id=2, v="b"), row(2, id=3, v="c"), row(3, id=1, v="d"))
    loader.load(columns, row(4, "update", id=2, v="e"), row(5, "delete", id=3, v=None))
    loader.load(columns, row(0, id=1, v="a"), row(2, id=3, v="c"))  # come again, for whatever reason
    assert client.query(f"SELECT id, v FROM {database}.orders ORDER BY id").result_rows == [(1, "d"), (2, "e")]
    loader.load(columns, row(6, id=3, v="back"))
    assert client.query(f"SELECT id, v FROM {database}.orders ORDER BY id").result_rows == [
        (1, "d"),
        (2, "e"),
        (3, "back"),
    ]


def test_upsert_by_several_nullable_columns_in_another_order(connect: Connect, client: Client, database: str) -> None:
    loader = Loader(connect, contract(database, key=["a", "b"], load={"mode": "upsert", "order_by": ["b", "a"]}))
    work = loader.load(
        {"a": pa.string(), "b": pa.int32(), "v": pa.int32()},
        row(0, a="x", b=1, v=1),
        row(1, a="x", b=1, v=2),
        row(2, a=None, b=1, v=3),
    )
    assert [one.column for one in work.portions[0].outcome.rejected] == ["a"]
    assert client.query(f"SELECT a, b, v FROM {database}.orders").result_rows == [("x", 1, 2)]


def test_rows_may_gain_widen_and_lose_columns(connect: Connect, client: Client, database: str) -> None:
    loader = Loader(connect, contract(database))
    required = pa.field("n", pa.int32(), nullable=False)
    loader.load({"n": required, "s": struct(x=pa.int32())}, row(0, n=1, s={"x": 1}))
    wider: dict[str, Any] = {
        "n": pa.int64(),
        "s": struct(x=pa.int32(), y=pa.string()),
        "new": pa.list_(pa.string()),
    }
    loader.load(wider, row(1, n=2**40, s={"x": 2, "y": "y"}, new=["a"]))
    loader.load({"s": struct(x=pa.int32())}, row(2, s=None))
    loader.load({"n": required}, row(3, n=4))
    shown = client.query(f"SELECT n, s, new FROM {database}.orders ORDER BY _offset").result_rows
    assert shown == [(1, {"x": 1, "y": None}, []), (2**40, {"x": 2, "y": "y"}, ["a"]), (None, None, []), (4, None, [])]


def test_a_change_that_would_distort_rows_stops_the_dataset(connect: Connect, client: Client, database: str) -> None:
    loader = Loader(connect, contract(database))
    loader.load({"n": pa.int64()}, row(0, n=1))
    with pytest.raises(
        Fatal, match=r"column n of .*orders__g1 is Nullable\(Int64\), its rows are now Nullable\(String\)"
    ):
        loader.load({"n": pa.string()}, row(1, n="two"))
    assert client.query(f"SELECT n FROM {database}.orders").result_rows == [(1,)]


def test_two_schemas_in_one_delivery(connect: Connect, client: Client, database: str) -> None:
    """A writer upgrades in the middle of a poll."""
    loader = Loader(connect, contract(database))
    old = loader.load({"n": pa.int32()}, row(0, n=1))
    new = loader.load({"n": pa.int64(), "m": pa.int64()}, row(1, n=2, m=3))
    work = Work(POSITION, new.delivery, (*old.portions, *new.portions, *old.portions), (), ())
    client.command(f"TRUNCATE TABLE {loader.table.path}")
    records = Records(
        "t", pa.array([0, 0, 0], pa.int32()), pa.array([0, 1, 0]), pa.array([0, 1, 0]), [None] * 3, [b""] * 3
    )
    sink = WarehouseSink(Group(), connect(), loader.table, "another")
    sink.commit(Work(POSITION, Delivery(records, {}, None, next(epochs)), work.portions[:2], (), ()))
    assert client.query(f"SELECT n, m FROM {database}.orders ORDER BY n").result_rows == [(1, None), (2, 3)]


def test_retention_and_comments_follow_the_dataset_file(connect: Connect, client: Client, database: str) -> None:
    days = [{"name": "day", "logicalType": "date", "description": "first"}]
    old, never = (NOW - timedelta(days=40)).date(), datetime.max.date()
    rows = (row(0, day=old), row(1, day=NOW.date()), row(2, day=never), row(3, day=None))

    def shown() -> int:
        client.command(f"OPTIMIZE TABLE {database}.orders__g1 FINAL")
        return client.query(f"SELECT count() FROM {database}.orders").result_rows[0][0]  # type: ignore[no-any-return]

    schema = {"fields": days}
    kept = Loader(connect, contract(database, schema=schema))
    kept.load({"day": pa.date32()}, *rows)
    assert shown() == 4
    aged = Loader(
        connect,
        contract(
            database,
            schema={"fields": [days[0] | {"description": "second"}]},
            retention={"value": 1, "unit": "m", "element": "day"},
        ),
    )
    aged.load({"day": pa.date32()}, row(4, day=NOW.date()))
    assert shown() == 4
    about = (
        f"SELECT comment FROM system.columns WHERE database = '{database}' AND name = 'day' AND table LIKE 'orders%'"
    )
    assert client.query(about).result_rows == [("second",), ("second",)]
    Loader(connect, contract(database, schema=schema)).load({"day": pa.date32()}, row(5, day=old))
    assert shown() == 5


def test_a_sorting_column_may_be_missing_in_a_row_but_not_in_all(
    connect: Connect, client: Client, database: str
) -> None:
    loader = Loader(connect, contract(database, load={"order_by": ["city"]}))
    loader.load({"city": pa.string()}, row(0, city="b"), row(1, city=None), row(2, city="a"))
    assert client.command(f"SELECT count() FROM {database}.orders") == 3
    with pytest.raises(Fatal, match="sorted by town"):
        Loader(connect, contract(database, dataset=f"{database}.others", load={"order_by": ["town"]})).load(
            {"city": pa.string()}, row(0, city="b")
        )


def test_the_wrong_password_is_not_waited_for(connect: Connect, database: str) -> None:
    with pytest.raises(Fatal, match="Authentication failed"):
        connect(password="wrong").newest(published(contract(database), 1), [0])


def test_who_has_not_heard_of_a_promotion_does_not_put_the_older_view_back(
    connect: Connect, client: Client, database: str
) -> None:
    found = contract(database)
    Loader(connect, found).load({"id": pa.int64()}, row(0, id=1))
    for generation in (2, 3):
        client.command(f"CREATE TABLE {database}.orders__g{generation} AS {database}.orders__g1")
        client.command(f"INSERT INTO {database}.orders__g{generation} (id) VALUES ({generation})")

    def show(generation: int, promotion: int) -> ClickHouse:
        loader, table = connect(), published(found, generation, promotion=promotion)
        held = loader.held(table)
        assert held is not None
        loader.show(table, held)
        return loader

    def seen() -> list[int]:
        return [number for (number,) in client.query(f"SELECT id FROM {database}.orders").result_rows]

    show(2, 1)
    assert seen() == [2]
    show(3, 2)
    with pytest.raises(OutrankedError):
        show(2, 1)
    Loader(connect, found).load({"id": pa.int64(), "late": pa.string()}, row(1, id=5, late="x"))  # its pump goes on
    assert seen() == [3]

    class Stalled(ClickHouse):
        """Knew what is live when it looked; what it sends next comes after another has shown what was promoted meanwhile."""

        def swap(self, table: Table, aside: str) -> None:
            show(3, 4)
            super().swap(table, aside)

    with pytest.raises(OutrankedError, match="meanwhile"):
        connect(Stalled).show(table := published(found, 2, promotion=3), connect().held(table) or {})
    assert seen() == [3]
    names = client.query(f"SELECT name FROM system.tables WHERE database = '{database}' ORDER BY name").result_rows
    assert [name for (name,) in names] == ["orders", "orders__g1", "orders__g2", "orders__g3"], "nothing is left aside"
