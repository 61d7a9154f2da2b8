"""The sink against the real engine: zombies, torn inserts, lost answers. Each guarantee has a control that breaks it."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client

from headrace.errors import Transient
from services.loader.adapters.clickhouse import ClickHouse
from services.loader.adapters.sink import WarehouseSink
from services.loader.core.fencing import Fence, FenceMovedError, mark
from services.loader.core.table import Table
from tests.integration.loader.conftest import Connect
from tests.integration.loader.proxy import Proxy
from tests.integration.loader.work import Group, delivered, epochs
from tests.stack import Stack


@pytest.fixture
def table(database: str) -> Table:
    return Table(database, "t__g1", order_by=("_load_partition", "_load_offset"), view="t")


def offsets(client: Client, table: Table) -> list[int]:
    rows = client.query(f"SELECT _load_offset FROM {table.path} ORDER BY ALL").result_rows
    return [offset for (offset,) in rows]


def test_a_zombie_writes_nothing_and_goes_on_as_a_member(connect: Connect, client: Client, table: Table) -> None:
    kafka = Group()
    old, new = (WarehouseSink(kafka, connect(), table, name) for name in ("old", "new"))
    first, second = next(epochs), next(epochs)
    old.commit(delivered(range(10), first))
    new.commit(delivered(range(10, 20), second))
    with pytest.raises(FenceMovedError):
        old.commit(delivered(range(10, 20), first))
    assert offsets(client, table) == list(range(20))

    rewound = next(epochs)  # the group has given the partition back to it
    old.commit(delivered(range(10, 30), rewound))
    with pytest.raises(FenceMovedError):
        new.commit(delivered(range(20, 30), second))
    assert offsets(client, table) == list(range(30))
    assert kafka.committed == {0: 30}


class Unguarded(ClickHouse):
    """Inserts whoever has claimed the partition since."""

    def insert(self, table: Table, rows: pa.Table, fences: Mapping[int, Fence]) -> None:
        with self._answers("inserting") as client:
            client.insert_arrow(table.id, rows)


def test_without_the_guard_a_zombie_doubles_rows(connect: Connect, client: Client, table: Table) -> None:
    kafka = Group()
    old, new = (WarehouseSink(kafka, connect(Unguarded), table, name) for name in ("old", "new"))
    first = next(epochs)
    old.commit(delivered(range(10), first))
    new.commit(delivered(range(10, 20), next(epochs)))
    old.commit(delivered(range(10, 20), first))
    assert len(offsets(client, table)) == 30


@contextmanager
def left_behind(connect: Connect, table: Table, partition: int, some: list[int]) -> Iterator[None]:
    """Part of an insert, of a loader that is gone."""
    warehouse = connect()
    work = delivered(some, 0, partition)
    rows = work.portions[0].outcome.emitted[0].rows
    assert rows is not None
    warehouse.prepare(table, rows.schema)
    warehouse.fence(table, {partition: Fence(1, "gone")})
    warehouse.insert(table, pa.Table.from_batches([rows]), {partition: Fence(1, "gone")})
    yield


def test_a_torn_insert_is_completed(connect: Connect, client: Client, table: Table) -> None:
    sink = WarehouseSink(Group(), connect(), table, "me")
    with left_behind(connect, table, 0, [5, 7, 9, 12]):
        epoch = next(epochs)
        sink.commit(delivered(range(4, 10), epoch))
        sink.commit(delivered(range(10, 15), epoch))
    assert offsets(client, table) == list(range(4, 15))


class Forgetful(ClickHouse):
    """Does not read back what the table holds."""

    def loaded(self, table: Table, bases: Mapping[int, int]) -> dict[int, pa.Int64Array]:
        return {}


def test_without_read_back_a_torn_insert_doubles_rows(connect: Connect, client: Client, table: Table) -> None:
    sink = WarehouseSink(Group(), connect(Forgetful), table, "me")
    with left_behind(connect, table, 0, [5, 7]):
        sink.commit(delivered(range(4, 10), next(epochs)))
    assert offsets(client, table) == sorted([*range(4, 10), 5, 7])


def test_partitions_are_claimed_one_by_one(connect: Connect, client: Client, table: Table) -> None:
    """Another loader's claim on one partition does not touch the other."""
    one, other = (WarehouseSink(Group(), connect(), table, name) for name in ("one", "other"))
    first, second = next(epochs), next(epochs)
    one.commit(delivered(range(3), first, partition=0))
    one.commit(delivered(range(3), first, partition=1))
    other.commit(delivered(range(3, 6), second, partition=1))
    one.commit(delivered(range(3, 6), first, partition=0))
    with pytest.raises(FenceMovedError):
        one.commit(delivered(range(3, 6), first, partition=1))
    assert offsets(client, table) == sorted([*range(6), *range(6)])


def test_two_claims_at_once_leave_one_owner(connect: Connect, table: Table) -> None:
    """Both read the same newest fence; the greater name outranks, whichever wrote first."""
    warehouse = connect()
    with left_behind(connect, table, 0, [1]):
        warehouse.fence(table, {0: Fence(2, "b")})
        warehouse.fence(table, {0: Fence(2, "a")})
        assert warehouse.newest(table, [0, 1]) == {0: Fence(2, "b")}


def test_an_insert_whose_answer_is_lost_is_not_repeated(
    connect: Connect, stack: Stack, client: Client, table: Table
) -> None:
    """The connection breaks after the engine has the rows, before its answer arrives."""
    with Proxy(stack.warehouse_url) as proxy:
        sink = WarehouseSink(kafka := Group(), connect(url=proxy.url), table, "me")
        sink.commit(delivered(range(5), next(epochs)))
        proxy.swallow_answer_to(b"INSERT INTO `" + table.database.encode())
        with pytest.raises(Transient):
            sink.commit(delivered(range(5, 10), next(epochs)))
        assert proxy.swallowed == 1
        assert offsets(client, table) == list(range(10))
        assert kafka.committed == {0: 5}

        sink.commit(delivered(range(5, 12), next(epochs)))
        assert offsets(client, table) == list(range(12))
        assert kafka.committed == {0: 12}


def test_the_inserts_of_the_owner_before_are_stopped(
    connect: Connect, client: Client, table: Table, database: str
) -> None:
    """An insert that has passed its guard and still runs would land after its successor has looked."""
    rows = delivered(range(60), 0).portions[0].outcome.emitted[0].rows
    assert rows is not None
    owner, successor = connect(), connect()
    owner.prepare(table, rows.schema)
    successor.stop(table, [0])  # it is connected
    naps = ", ".join(f"sleepEachRow({0.04 + nap / 1000}) AS nap_{nap}" for nap in range(8))  # of 2.5 s each
    client.command(
        f"CREATE MATERIALIZED VIEW {database}.slow ENGINE = MergeTree ORDER BY () AS SELECT {naps} FROM {table.path}"
    )
    owner.fence(table, {0: Fence(1, "owner")})
    ended: list[Exception | None] = []

    def insert() -> None:
        try:
            owner.insert(table, pa.Table.from_batches([rows]), {0: Fence(1, "owner")})
            ended.append(None)
        except Transient as error:
            ended.append(error)

    thread = threading.Thread(target=insert)
    thread.start()
    running = f"SELECT count() FROM system.processes WHERE Settings['log_comment'] = '{mark(table, [0])}'"
    deadline = time.monotonic() + 10
    while not client.command(running):
        assert time.monotonic() < deadline, "the insert never started"
    successor.stop(table, [1])
    assert client.command(running), "it stopped an insert into another partition"
    successor.stop(table, [0])
    assert not client.command(running)
    thread.join(30)
    assert isinstance(ended[0], Transient)


def test_a_warehouse_that_is_away_is_waited_for(connect: Connect, table: Table) -> None:
    sink = WarehouseSink(kafka := Group(), connect(url="http://127.0.0.1:9"), table, "me")
    with pytest.raises(Transient, match=r"127\.0\.0\.1:9"):
        sink.commit(delivered(range(5), next(epochs)))
    assert not kafka.committed
