"""The `sql` connector on a real PostgreSQL: every type is carried, and no row is missed that commits late."""

import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlparse

import adbc_driver_postgresql.dbapi
import pyarrow as pa
import pytest
from adbc_driver_manager.dbapi import Connection

from headrace.connector import Connector, Surroundings, opened
from headrace.connector.conformance import Conformance, Row, rows_of
from headrace.errors import Fatal
from services.ingest.connectors.sql.databases import PostgreSql
from services.ingest.connectors.sql.settings import SqlSource


class Table:
    """A table of its own whose rows are stamped as they are inserted."""

    def __init__(self, url: str) -> None:
        self.url, self.name = url, f"orders_{uuid.uuid4().hex[:8]}"
        self.rows: list[Row] = []
        self.connection = self.another()
        self.execute(
            f"CREATE TABLE {self.name} (id bigint PRIMARY KEY, name text, at timestamptz DEFAULT now() NOT NULL)"
        )
        self.add()
        self.add()

    def another(self) -> Connection:
        connection: Connection = adbc_driver_postgresql.dbapi.connect(self.url, autocommit=True)
        return connection

    def execute(self, sql: str, connection: Connection | None = None) -> None:
        with (connection or self.connection).cursor() as cursor:
            cursor.execute(sql)

    def add(self) -> Sequence[Row]:
        """See `SourceUnderTest.add`."""
        first = len(self.rows)
        self.execute(
            f"INSERT INTO {self.name} (id, name) SELECT n, 'n' || n FROM generate_series({first}, {first + 19}) AS n"
        )
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {self.name} WHERE id >= {first} ORDER BY at, id")
            added: list[Any] = cursor.fetch_arrow_table().to_pylist()
        self.rows += added
        return added

    def source(self, **settings: Any) -> SqlSource:
        at = urlparse(self.url)
        where = {"host": at.hostname, "port": at.port, "name": at.path[1:], "user": at.username}
        order = {"table": self.name, "cursor": "at", "key": ["id"]}
        return SqlSource.model_validate({"type": "sql", "database": "postgresql", **where, **order, **settings})

    def connect(self, surroundings: Surroundings) -> Connector:
        """See `SourceUnderTest.connect`."""
        return opened(self.source(), surroundings)

    def unreachable(self) -> Connector:
        """See `SourceUnderTest.unreachable`."""
        return opened(self.source(port=1), Surroundings("a.b"))


@pytest.fixture
def table(postgres_url: str) -> Iterator[Table]:
    found = Table(postgres_url)
    yield found
    found.connection.close()


class TestTable(Conformance):
    @pytest.fixture
    def source(self, table: Table) -> Table:
        return table


def ids(connector: Connector, position: str | None = None) -> tuple[list[int], str | None]:
    """What is read, and how far that is."""
    found: list[Any] = []
    reached = position
    for fetched, reached in connector.read(position):  # noqa: B007  # the last one counts
        found += fetched.rows.column("id").to_pylist()
    return found, reached


def overtaken(table: Table) -> tuple[list[int], str | None, Connector]:
    """What is read while an older transaction is open than those whose rows are seen; it commits afterwards."""
    slow = table.another()
    table.execute("BEGIN", slow)
    table.execute(f"INSERT INTO {table.name} (id, name) VALUES (100, 'stamped first')", slow)
    table.execute(f"INSERT INTO {table.name} (id, name) VALUES (101, 'committed first')")
    connector = opened(table.source(), Surroundings("a.b"))
    first, position = ids(connector)
    waits = connector.waiting
    table.execute("COMMIT", slow)
    slow.close()
    assert waits == (101 not in first)
    return first, position, connector


def test_a_row_that_commits_late_is_not_missed(table: Table) -> None:
    first, position, connector = overtaken(table)
    assert first == []
    assert ids(connector, position)[0] == [*range(40), 100, 101]
    assert not connector.waiting


def test_the_control_who_reads_all_that_is_seen_misses_it(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PostgreSql, "open_transactions", lambda *_: frozenset())
    first, position, connector = overtaken(table)
    assert first == [*range(40), 101]
    assert ids(connector, position)[0] == []


def test_transactions_that_follow_each_other_hold_nothing_up_for_ever(table: Table) -> None:
    connector = opened(table.source(), Surroundings("a.b"))
    found: list[int] = []
    position: str | None = None
    before = table.another()
    table.execute("BEGIN", before)
    for number in range(200, 206):
        table.execute(f"INSERT INTO {table.name} (id, name) VALUES ({number}, 'x')", before)
        after = table.another()
        table.execute("BEGIN", after)
        table.execute("SELECT 1", after)
        table.execute("COMMIT", before)
        before.close()
        before = after
        more, position = ids(connector, position)
        found += more
    table.execute("COMMIT", before)
    before.close()
    assert found[:40] == list(range(40))
    assert [*found, *ids(connector, position)[0]] == [*range(40), *range(200, 206)]


def test_every_type_comes_through(table: Table) -> None:
    table.execute(
        f"CREATE TABLE {table.name}_types (id bigint PRIMARY KEY, n numeric(12,2), j jsonb, a int[], g uuid, b boolean, "
        "l timestamp, d date, t time, x bytea, f real, m money, ip inet, i interval, s smallint)"
    )
    table.execute(
        f"INSERT INTO {table.name}_types VALUES (1, 1234567890.12, '{{\"a\": 1}}', '{{1,2}}', "
        "'00000000-0000-0000-0000-000000000001', true, '2024-01-02 03:04:05', '2024-01-02', '03:04:05', '\\x01', 1.5, '1.25', "
        "'10.0.0.1', '1 day', 7)"
    )
    source = table.source(table=f"{table.name}_types", cursor=None)
    declared = {"n": pa.decimal128(12, 2)}
    (row,) = rows_of(opened(source, Surroundings("a.b", declared=declared)).read(None))
    assert row == {
        "id": 1,
        "n": Decimal("1234567890.12"),
        "j": '{"a": 1}',
        "a": [1, 2],
        "g": uuid.UUID(int=1),
        "b": True,
        "l": dt.datetime(2024, 1, 2, 3, 4, 5),
        "d": dt.date(2024, 1, 2),
        "t": dt.time(3, 4, 5),
        "x": b"\x01",
        "f": 1.5,
        "m": "$1.25",
        "ip": "10.0.0.1/32",
        "i": "1 day",
        "s": 7,
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"table": "no_such_table"}, "does not exist"),
        ({"name": "no_such_database"}, "does not exist"),
        ({"user": "nobody_at_all"}, "does not exist"),
        ({"table": None, "query": "SELEC 1"}, "syntax error"),
    ],
)
def test_what_is_wrong_is_said_in_the_databases_words(table: Table, settings: dict[str, Any], said: str) -> None:
    connector = opened(table.source(**settings), Surroundings("a.b"))
    assert said in list(connector.check())[-1].message
    with pytest.raises(Fatal, match=said):
        ids(connector)
