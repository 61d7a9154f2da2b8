"""The `sql` connector on a real MariaDB: every type is carried exactly, and no row is missed that commits late."""

import datetime as dt
import threading
import uuid
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlparse

import pyarrow as pa
import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from pymysql.connections import Connection

from headrace.connector import Connector, Step, Surroundings, opened
from headrace.connector.conformance import LOOPBACK, Conformance, Row, rows_of
from headrace.contract.source import LOOKING
from headrace.errors import Fatal, Transient
from services.ingest.connectors.sql.connector import SqlConnector
from services.ingest.connectors.sql.literals import mysql as literal
from services.ingest.connectors.sql.mysql import MySqlSession
from services.ingest.connectors.sql.settings import SqlSource
from tests.integration.ingest.mariadb_types import READ, TYPES, VALUES
from tests.mariadb import MariaDb

CANARY = "c4nary:p@ss/w%rd'\"\\"


class Table:
    """A table of its own whose rows are stamped as they are inserted."""

    def __init__(self, url: str) -> None:
        self.url, self.name = url, f"orders_{uuid.uuid4().hex[:8]}"
        self.rows: list[Row] = []
        self.connection = self.another()
        self.execute(
            f"CREATE TABLE {self.name} (id bigint PRIMARY KEY, name text, at timestamp(6) DEFAULT now(6) NOT NULL, KEY (at))"
        )
        self.add()
        self.add()

    def another(self) -> "Connection[Any]":
        at = urlparse(self.url)
        return pymysql.connect(
            host=at.hostname,
            port=at.port or 0,
            user=at.username,
            database=at.path[1:],
            charset="utf8mb4",
            autocommit=True,
            init_command="SET time_zone = '+00:00'",
        )

    def execute(self, sql: str, connection: "Connection[Any] | None" = None) -> list[Any]:
        with (connection or self.connection).cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def add(self) -> Sequence[Row]:
        """See `SourceUnderTest.add`."""
        first = len(self.rows)
        values = ", ".join(f"({number}, 'n{number}')" for number in range(first, first + 20))
        self.execute(f"INSERT INTO {self.name} (id, name) VALUES {values}")
        found = self.execute(f"SELECT id, name, at FROM {self.name} WHERE id >= {first} ORDER BY at, id")
        added = [{"id": id, "name": name, "at": at.replace(tzinfo=dt.UTC)} for id, name, at in found]
        self.rows += added
        return added

    def source(self, **settings: Any) -> SqlSource:
        at = urlparse(self.url)
        where = {"host": at.hostname, "port": at.port, "name": at.path[1:], "user": at.username}
        order = {"table": self.name, "cursor": "at", "key": ["id"]}
        return SqlSource.model_validate({"type": "sql", "database": "mysql", **where, **order, **settings})

    def connect(self, surroundings: Surroundings) -> Connector:
        """See `SourceUnderTest.connect`."""
        return opened(self.source(), surroundings)

    def unreachable(self) -> Connector:
        """See `SourceUnderTest.unreachable`."""
        return opened(self.source(port=1), surroundings())


def surroundings(**further: Any) -> Surroundings:
    return Surroundings("a.b", targets=LOOPBACK, secret=lambda _: SecretStr(CANARY), **further)


@pytest.fixture
def table(mariadb_url: str) -> Iterator[Table]:
    found = Table(mariadb_url)
    yield found
    found.connection.close()


class TestTable(Conformance):
    @pytest.fixture
    def source(self, table: Table) -> Table:
        return table


class TestQuery(Conformance):
    @pytest.fixture
    def source(self, table: Table, monkeypatch: pytest.MonkeyPatch) -> Table:
        whole = table.source
        query = f"SELECT id, name, at FROM {table.name};"
        monkeypatch.setattr(table, "source", lambda **settings: whole(table=None, query=query, **settings))
        return table


def ids(connector: Connector, position: str | None = None) -> tuple[list[int], str | None]:
    """What is read, and how far that is."""
    found: list[Any] = []
    reached = position
    for fetched, reached in connector.read(position):  # noqa: B007  # the last one counts
        found += fetched.rows.column("id").to_pylist()
    return found, reached


def overtaken(table: Table, **settings: Any) -> tuple[list[int], str | None, Connector]:
    """What is read while an older transaction is open than those whose rows are seen; it commits afterwards."""
    slow = table.another()
    table.execute("BEGIN", slow)
    table.execute(f"INSERT INTO {table.name} (id, name) VALUES (100, 'stamped first')", slow)
    table.execute(f"INSERT INTO {table.name} (id, name) VALUES (101, 'committed first')")
    connector = opened(table.source(**settings), surroundings())
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
    monkeypatch.setattr(MySqlSession, "open_transactions", lambda *_: frozenset())
    first, position, connector = overtaken(table)
    assert first == [*range(40), 101]
    assert ids(connector, position)[0] == []


def test_a_statement_that_has_its_time_but_no_transaction_yet_is_waited_for(table: Table) -> None:
    """The moment of a statement is that of its beginning. It waits for a lock here before InnoDB hears of it."""
    lock, slow = table.another(), table.another()
    [(number,)] = table.execute("SELECT CONNECTION_ID()", slow)
    table.execute(f"CREATE TABLE {table.name}_lock (id int)")
    table.execute(f"LOCK TABLES {table.name}_lock WRITE", lock)
    insert = f"INSERT INTO {table.name} (id, name) SELECT 100, 'stamped first' FROM (SELECT count(*) FROM {table.name}_lock) AS l"
    writer = threading.Thread(target=table.execute, args=(insert, slow))
    writer.start()
    blocked = f"SELECT 1 FROM information_schema.PROCESSLIST WHERE INFO LIKE 'INSERT INTO {table.name}%' AND STATE LIKE '%lock%'"
    while not table.execute(blocked):
        pass
    begun = {id for (id,) in table.execute("SELECT trx_mysql_thread_id FROM information_schema.INNODB_TRX")}
    table.execute(f"INSERT INTO {table.name} (id, name) VALUES (101, 'committed first')")
    connector = opened(table.source(), surroundings())
    first, position = ids(connector)
    table.execute("UNLOCK TABLES", lock)
    writer.join()
    lock.close()
    assert number not in begun
    slow.close()
    assert first == []
    assert ids(connector, position)[0] == [*range(40), 100, 101]


def test_transactions_that_follow_each_other_hold_nothing_up_for_ever(table: Table) -> None:
    connector = opened(table.source(), surroundings())
    found: list[int] = []
    position: str | None = None
    before = table.another()
    table.execute("BEGIN", before)
    for number in range(200, 206):
        table.execute(f"INSERT INTO {table.name} (id, name) VALUES ({number}, 'x')", before)
        after = table.another()
        table.execute("BEGIN", after)
        table.execute(f"SELECT count(*) FROM {table.name}", after)
        table.execute("COMMIT", before)
        before.close()
        before = after
        more, position = ids(connector, position)
        found += more
    table.execute("COMMIT", before)
    before.close()
    assert found[:40] == list(range(40))
    assert [*found, *ids(connector, position)[0]] == [*range(40), *range(200, 206)]


def test_what_is_committed_is_seen_whatever_the_server_makes_of_a_connection(table: Table) -> None:
    table.execute("SET GLOBAL autocommit = 0")
    try:
        connector = opened(table.source(), surroundings())
        first, position = ids(connector)
        table.execute(f"INSERT INTO {table.name} (id, name) VALUES (100, 'x')")
        assert (first, ids(connector, position)[0]) == (list(range(40)), [100])
    finally:
        table.execute("SET GLOBAL autocommit = 1")


def reader(table: Table, *grants: str) -> str:
    """A user who may read the table, with the canary for a password."""
    name = f"r{uuid.uuid4().hex[:8]}"
    with table.connection.cursor() as cursor:
        cursor.execute(f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY %s", (CANARY,))
    for grant in ("SELECT ON shop.*", *grants):
        table.execute(f"GRANT {grant} TO {name}@'127.0.0.1'")
    return name


def test_who_may_not_see_open_transactions_is_told_what_to_grant(table: Table) -> None:
    connector = opened(table.source(user=reader(table), password="secret://shop"), surroundings())
    *_, step = connector.check()
    assert (step.name, step.ok, step.field) == ("transactions", False, "source.user")
    assert "PROCESS" in step.message
    assert "GRANT PROCESS ON *.*" in step.remedy
    with pytest.raises(Fatal, match="PROCESS"):
        ids(connector)


@pytest.mark.parametrize(("grants", "settings"), [(["PROCESS ON *.*"], {}), ([], {"lag_s": 0})])
def test_who_may_see_them_or_waits_instead_can_read(table: Table, grants: list[str], settings: dict[str, Any]) -> None:
    user = reader(table, *grants)
    connector = opened(table.source(user=user, password="secret://shop", **settings), surroundings())
    assert [step for step in connector.check() if not step.ok] == []
    assert ids(connector)[0] == list(range(40))


def test_the_last_rows_wait_as_long_as_the_lag_says(table: Table) -> None:
    now = 0.0
    found = opened(table.source(lag_s=30), surroundings())
    assert isinstance(found, SqlConnector)
    found._clock = lambda: now
    assert (ids(found)[0], found.waiting) == ([], True)
    now = 29.0
    assert ids(found)[0] == []
    now = 30.0
    assert ids(found)[0] == list(range(40))


@pytest.mark.parametrize("how", ["table", "query"])
def test_every_type_comes_through_exactly(table: Table, how: str) -> None:
    name = f"{table.name}_types"
    table.execute(f"CREATE TABLE {name} ({TYPES})")
    table.execute(f"INSERT INTO {name} VALUES ({VALUES})")
    table.execute(f"INSERT INTO {name} (id) VALUES (7)")
    what = {"table": name} if how == "table" else {"table": None, "query": f"SELECT * FROM {name}"}
    nothing, row = rows_of(opened(table.source(**what, cursor=None), surroundings()).read(None))
    assert row == READ
    assert nothing == {**dict.fromkeys(READ), "id": 7}


def test_an_instant_is_one_whatever_the_zone_of_the_server(table: Table) -> None:
    """A TIMESTAMP is an instant, shown in the session's zone; a DATETIME is what a clock on the wall read."""
    name = f"{table.name}_zones"
    table.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, instant timestamp NULL, wall datetime)")
    table.execute("SET GLOBAL time_zone = '+05:00'")
    try:
        table.execute("SET time_zone = '+02:00'")
        table.execute(f"INSERT INTO {name} VALUES (1, '2024-01-02 12:00:00', '2024-01-02 12:00:00')")
        (row,) = rows_of(opened(table.source(table=name, cursor="instant"), surroundings()).read(None))
    finally:
        table.execute("SET GLOBAL time_zone = 'SYSTEM'")
    assert row["instant"] == dt.datetime(2024, 1, 2, 10, tzinfo=dt.UTC)
    assert row["wall"] == dt.datetime(2024, 1, 2, 12)


def test_a_zero_date_is_no_value_and_has_no_place_in_an_order(table: Table) -> None:
    name = f"{table.name}_zero"
    table.execute("SET sql_mode = ''")
    table.execute(
        f"CREATE TABLE {name} (id int PRIMARY KEY, day date NOT NULL, at datetime NOT NULL, seen timestamp NOT NULL)"
    )
    partly, wholly = "(2, '2024-00-01', '2024-01-00', '2024-01-01')", "(3, '2024-01-01', '2024-01-01', 0)"
    table.execute(f"INSERT INTO {name} VALUES (1, 0, 0, 0), {partly}, {wholly}")
    first, second, third = rows_of(opened(table.source(table=name, cursor=None), surroundings()).read(None))
    assert first == {"id": 1, "day": None, "at": None, "seen": None}
    assert (second["day"], second["at"]) == (None, None)
    assert third["day"] == dt.date(2024, 1, 1)
    connector = opened(table.source(table=name, cursor="day"), surroundings())
    *_, step = connector.check()
    assert (step.name, step.ok, step.field) == ("order", False, "source.cursor")
    assert "2 rows have no day" in step.message
    assert ids(connector)[0] == [3]


MODES = [
    "",
    "NO_BACKSLASH_ESCAPES",
    "ANSI_QUOTES",
    "PIPES_AS_CONCAT",
    "TRADITIONAL",
    "ORACLE",
    "ANSI,NO_BACKSLASH_ESCAPES",
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text() | st.text("'\"\\\0%_\n;-`"), mode=st.sampled_from(MODES))
def test_any_text_is_written_so_that_the_server_reads_the_same(table: Table, value: str, mode: str) -> None:
    table.execute(f"SET sql_mode = '{mode}'")
    [(found,)] = table.execute(f"SELECT {literal(pa.string(), value)}")
    assert found == value


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.binary(), number=st.floats(allow_nan=False, allow_infinity=False), whole=st.integers(-(2**63), 2**64 - 1)
)
def test_bytes_and_numbers_are_too(table: Table, value: bytes, number: float, whole: int) -> None:
    [found] = table.execute(
        f"SELECT {literal(pa.binary(), value)}, {literal(pa.float64(), number)}, {literal(pa.uint64(), whole)}"
    )
    assert found == (value, number, whole)


@pytest.mark.parametrize(
    ("type", "values"),
    [
        ("varchar(40) COLLATE utf8mb4_bin", ["", "'", "''", "\\", "a\\'b", "é", "😀", "\0", "a b", "z"]),
        ("varbinary(40)", [b"", b"\0", b"'", b"\\", b"\xff", b"ab"]),
        ("decimal(30,10)", ["-1.5", "0", "12345678901234567890.1234567891", "12345678901234567890.1234567892"]),
        ("bigint unsigned", [0, 2**63, 2**64 - 2, 2**64 - 1]),
        ("double", [-1e300, -0.1, 0.1, 0.30000000000000004, 1e300]),
        ("float", [-1.1, 0.1, 1.1]),
        ("datetime(6)", ["2024-01-01 00:00:00", "2024-01-01 00:00:00.000001", "2024-01-01 00:00:01"]),
        ("date", ["2024-01-01", "2024-01-02", "9999-12-31"]),
        ("time(3)", ["-01:00:00", "00:00:01.5", "23:00:00"]),
        ("year", [1999, 2024]),
        ("bit(9)", [1, 2, 300]),
        ("uuid", [str(uuid.UUID(int=number)) for number in (1, 2, 2**127)]),
    ],
)
def test_reading_goes_on_behind_a_row_of_any_type_of_cursor(table: Table, type: str, values: Sequence[Any]) -> None:
    name = f"{table.name}_cursors"
    table.execute(f"CREATE TABLE {name} (id int PRIMARY KEY AUTO_INCREMENT, c {type} NOT NULL, KEY (c))")
    with table.connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {name} (c) VALUES (%s)", [(value,) for value in [*values, *values]])
    source = table.source(table=name, cursor="c")
    steps = list(opened(source, surroundings(batch_rows=1)).read(None))
    expected = [id for (id,) in table.execute(f"SELECT id FROM {name} ORDER BY c, id")]
    assert [row["id"] for row in rows_of(iter(steps))] == expected
    for number, (_, position) in enumerate(steps, start=1):
        assert ids(opened(source, surroundings()), position)[0] == expected[number:]


def test_pages_join(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.ingest.connectors.sql.foreign._FIRST_ROWS", 3)
    monkeypatch.setattr("services.ingest.connectors.sql.foreign._LEAST_ROWS", 3)
    monkeypatch.setattr("services.ingest.connectors.sql.foreign._PAGE_BYTES", 1)
    assert ids(opened(table.source(), surroundings()))[0] == list(range(40))


def test_a_server_that_dies_in_the_middle_is_waited_for_and_every_row_is_read_once(
    table: Table, mariadb: MariaDb
) -> None:
    table.execute(f"INSERT INTO {table.name} (id, name) SELECT 1000 + seq, REPEAT('x', 100) FROM seq_1_to_60000")
    reading = opened(table.source(), surroundings(batch_rows=5_000)).read(None)
    fetched, position = next(reading)
    found: list[Any] = fetched.rows.column("id").to_pylist()
    mariadb.kill()
    try:
        with pytest.raises(Transient):  # noqa: PT012  # whatever had been fetched before is good
            for fetched, position in reading:  # noqa: B007  # the last one counts
                found += fetched.rows.column("id").to_pylist()
        assert len(found) < 60_040
        with pytest.raises(Transient):
            ids(opened(table.source(), surroundings()), position)
    finally:
        mariadb.start()
    again, _ = ids(opened(table.source(), surroundings()), position)
    assert [*found, *again] == [*range(40), *range(1001, 61_001)]


@pytest.mark.parametrize(
    ("settings", "name", "field", "said"),
    [
        ({"host": "no.such.host.invalid"}, "resolve", "source.host", "not found"),
        ({"port": 1}, "connect", "source.port", "refused"),
        ({"sslmode": "require"}, "tls", "source.sslmode", "SSL"),
        ({"user": "nobody", "password": "secret://shop"}, "authenticate", "source.password", "Access denied"),
        ({"name": "nothing"}, "authenticate", "source.name", "Unknown database"),
        ({"table": "no_such_table"}, "read", "source.table", "doesn't exist"),
        ({"table": None, "query": "SELEC 1"}, "read", "source.query", "SQL syntax"),
        ({"cursor": "nothing"}, "read", "source.table", "has no column"),
        (
            {"cursor": "name", "table": None, "query": "SELECT 1 AS id, NULL AS name"},
            "order",
            "source.cursor",
            "1 rows",
        ),
    ],
)
def test_a_check_says_what_is_wrong_in_the_databases_words(
    table: Table, settings: dict[str, Any], name: str, field: str, said: str
) -> None:
    steps = list(opened(table.source(**settings), surroundings()).check())
    assert all(step.ok for step in steps[:-1])
    step = steps[-1]
    assert (step.name, step.ok, step.field) == (name, False, field), step
    assert said in step.message
    assert CANARY not in str(steps)


def test_a_check_that_passes_names_every_step(table: Table) -> None:
    steps = list(opened(table.source(), surroundings()).check())
    names = ["resolve", "connect", "tls", "authenticate", "list", "read", "order", "transactions"]
    assert [(step.name, step.ok) for step in steps] == [(name, True) for name in names]


def test_a_misspelt_table_is_met_with_the_nearest(table: Table) -> None:
    *_, step = opened(table.source(table=f"{table.name}x"), surroundings()).check()
    assert step.remedy == f"did you mean {table.name}?"


def test_the_password_is_shown_nowhere(table: Table, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    caplog.set_level("DEBUG")
    shown: list[object] = []
    user = reader(table, "PROCESS ON *.*")
    for wrong in ({}, {"user": "nobody"}, {"name": "nothing"}, {"table": "nothing"}, {"sslmode": "require"}):
        with_password = {"user": user, "password": "secret://shop", **wrong}
        connector = opened(table.source(**with_password), surroundings())
        assert isinstance(connector, SqlConnector)
        shown += [*connector.check(), connector, connector._database, vars(connector)]
        try:
            ids(connector)
            assert not wrong
        except (Fatal, Transient) as error:
            shown += [error, error.__cause__]
    assert any(isinstance(each, Step) and not each.ok for each in shown)
    seen = f"{shown!r} {[str(each) for each in shown]} {caplog.text} {capfd.readouterr()}"
    assert CANARY not in seen
    assert "c4nary" not in seen


def test_keys_and_cursors_are_found(table: Table) -> None:
    name = f"{table.name}_found"
    table.execute(
        f"CREATE TABLE {name} (id int AUTO_INCREMENT PRIMARY KEY, made timestamp NULL, created_at datetime, updated_at datetime, "
        "born date, KEY (created_at), KEY (updated_at, id), KEY (born))"
    )
    (stream,) = opened(table.source(table=name, cursor=None), surroundings()).discover()
    assert stream.keys == ("id",)
    assert stream.cursors == ("id", "updated_at", "created_at")


def test_the_tables_of_a_database_are_listed_before_one_is_chosen(table: Table) -> None:
    unchosen = table.source().model_dump(exclude={"table", "query", "cursor", "key", "lag_s"})
    source = SqlSource.model_validate(unchosen, context={LOOKING: True})
    (found,) = [each for each in opened(source, surroundings()).discover() if each.name == table.name]
    assert found.kind == "table"
    assert found.namespace
    assert found.rows is not None


def test_a_private_address_is_not_reached_unless_it_is_allowed(table: Table) -> None:
    (step,) = opened(table.source(), Surroundings("a.b")).check()
    assert (step.name, step.ok, step.field) == ("resolve", False, "source.host")
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_NETWORKS"):
        ids(opened(table.source(), Surroundings("a.b")))
