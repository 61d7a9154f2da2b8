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
from pydantic import SecretStr

from headrace.connector import Connector, Ranged, Step, Stretch, Surroundings, opened
from headrace.connector.conformance import LOOPBACK, Conformance, Row, rows_of
from headrace.contract.source import LOOKING
from headrace.errors import Fatal, Transient
from services.ingest.connectors.sql.connector import SqlConnector
from services.ingest.connectors.sql.postgresql import PostgreSqlSession
from services.ingest.connectors.sql.settings import SqlSource

CANARY = "c4nary:p@ss/w%rd'\"\\"


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
        return opened(self.source(port=1), surroundings())


def surroundings(**further: Any) -> Surroundings:
    return Surroundings("a.b", targets=LOOPBACK, secret=lambda _: SecretStr(CANARY), **further)


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
    connector = opened(table.source(), surroundings())
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
    monkeypatch.setattr(PostgreSqlSession, "open_transactions", lambda *_: frozenset())
    first, position, connector = overtaken(table)
    assert first == [*range(40), 101]
    assert ids(connector, position)[0] == []


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
    (row,) = rows_of(opened(source, surroundings(declared=declared)).read(None))
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
    connector = opened(table.source(**settings), surroundings())
    assert said in list(connector.check())[-1].message
    with pytest.raises(Fatal, match=said):
        ids(connector)


@pytest.mark.parametrize(
    ("type", "values"),
    [
        ("text", ["'", "\\", "a", "é", "😀"]),
        ("bytea", ["\\x00", "\\x27", "\\xff"]),
        ("numeric(30,10)", ["-1.5", "12345678901234567890.1234567891", "12345678901234567890.1234567892"]),
        ("inet", ["9.0.0.1", "10.0.0.1"]),
        ("money", ["$9.00", "$10.00"]),
        ("interval", ["9 days", "10 days"]),
        ("uuid", [str(uuid.UUID(int=number)) for number in (1, 2)]),
        ("timestamptz", ["2024-01-01 00:00:00.000001+00", "2024-01-01 03:00:00+02"]),
        ('"char"', ["a", "b"]),
    ],
)
def test_reading_goes_on_behind_a_row_of_any_type_of_cursor(table: Table, type: str, values: Sequence[str]) -> None:
    """The order is that of the column, even where its text is read, whose order is another."""
    name = f"{table.name}_cursors"
    table.execute(f"CREATE TABLE {name} (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, c {type} NOT NULL)")
    for value in [*values, *values]:
        quoted = value.replace("'", "''")
        table.execute(f"INSERT INTO {name} (c) VALUES ('{quoted}')")
    with table.connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {name} AS t ORDER BY t.c, id")
        expected = [row[0] for row in cursor.fetchall()]
    source = table.source(table=name, cursor="c")
    steps = list(opened(source, surroundings(batch_rows=1)).read(None))
    assert [row["id"] for row in rows_of(iter(steps))] == expected
    for number, (_, position) in enumerate(steps, start=1):
        assert ids(opened(source, surroundings()), position)[0] == expected[number:]


@pytest.mark.parametrize(
    ("settings", "name", "field", "said"),
    [
        ({"host": "no.such.host.invalid"}, "resolve", "source.host", "not found"),
        ({"port": 1}, "connect", "source.port", "refused"),
        ({"sslmode": "require"}, "tls", "source.sslmode", "SSL"),
        ({"user": "nobody_at_all"}, "authenticate", "source.user", "does not exist"),
        ({"name": "nothing"}, "authenticate", "source.name", "does not exist"),
        ({"table": "no_such_table"}, "read", "source.table", "does not exist"),
        ({"table": None, "query": "SELEC 1"}, "read", "source.query", "syntax error"),
        ({"cursor": "nothing"}, "read", "source.table", "has no column"),
        ({"table": None, "query": "SELECT 1 AS id, NULL::int AS at"}, "order", "source.cursor", "1 rows"),
    ],
)
def test_a_check_names_the_step_and_the_setting_at_fault(
    table: Table, settings: dict[str, Any], name: str, field: str, said: str
) -> None:
    steps = list(opened(table.source(**settings), surroundings()).check())
    assert all(step.ok for step in steps[:-1])
    step = steps[-1]
    assert (step.name, step.ok, step.field) == (name, False, field), step
    assert said in step.message


def test_a_check_that_passes_names_every_step(table: Table) -> None:
    steps = list(opened(table.source(), surroundings()).check())
    names = ["resolve", "connect", "tls", "authenticate", "list", "read", "order", "transactions"]
    assert [(step.name, step.ok) for step in steps] == [(name, True) for name in names]


def test_a_name_is_only_a_name_and_the_connection_goes_to_the_address_that_was_looked_at(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Pinned:
        def resolve(self, host: str, port: int) -> Any:
            asked.append(host)
            return LOOPBACK.resolve("127.0.0.1", port)

    connector = opened(table.source(host="db.invalid"), Surroundings("a.b", targets=Pinned()))  # type: ignore[arg-type]
    assert ids(connector)[0] == list(range(40))
    assert set(asked) == {"db.invalid"}


def test_a_private_address_is_not_reached_unless_it_is_allowed(table: Table) -> None:
    (step,) = opened(table.source(), Surroundings("a.b")).check()
    assert (step.name, step.ok, step.field) == ("resolve", False, "source.host")
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_NETWORKS"):
        ids(opened(table.source(), Surroundings("a.b")))


def test_the_password_is_shown_nowhere(table: Table, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    caplog.set_level("DEBUG")
    shown: list[object] = []
    for wrong in (
        {},
        {"user": "nobody"},
        {"name": "nothing"},
        {"table": "nothing"},
        {"sslmode": "require"},
        {"port": 1},
    ):
        connector = opened(table.source(password="secret://shop", **wrong), surroundings())
        assert isinstance(connector, SqlConnector)
        shown += [*connector.check(), connector, connector._database, vars(connector)]
        try:
            ids(connector)
            assert not wrong
        except (Fatal, Transient) as error:
            shown += [error, error.__cause__]
    assert any(isinstance(each, Step) and not each.ok for each in shown)
    seen = f"{shown!r} {[str(each) for each in shown]} {caplog.text} {capfd.readouterr()}"
    assert "c4nary" not in seen


def test_a_connection_that_is_cut_in_the_middle_is_waited_for_and_every_row_is_read_once(table: Table) -> None:
    table.execute(
        f"INSERT INTO {table.name} (id, name) SELECT n, repeat('x', 500) FROM generate_series(1000, 200999) AS n"
    )
    reading = opened(table.source(), surroundings(batch_rows=5_000)).read(None)
    fetched, position = next(reading)
    found: list[Any] = fetched.rows.column("id").to_pylist()
    table.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'headrace'")
    with pytest.raises(Transient):  # noqa: PT012  # whatever had been fetched before is good
        for fetched, position in reading:  # noqa: B007  # the last one counts
            found += fetched.rows.column("id").to_pylist()
    again, _ = ids(opened(table.source(), surroundings()), position)
    assert [*found, *again] == [*range(40), *range(1000, 201_000)]


def test_keys_and_cursors_are_found(table: Table) -> None:
    name = f"{table.name}_found"
    table.execute(
        f"CREATE TABLE {name} (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, made timestamp, created_at timestamptz, "
        "updated_at timestamptz, born date)"
    )
    for columns in ("created_at", "updated_at, id", "born"):
        table.execute(f"CREATE INDEX ON {name} ({columns})")
    (stream,) = opened(table.source(table=name, cursor=None), surroundings()).discover()
    assert stream.keys == ("id",)
    assert stream.cursors == ("id", "updated_at", "created_at")


def test_the_tables_of_a_database_are_listed_before_one_is_chosen(table: Table) -> None:
    table.execute(f"ANALYZE {table.name}")
    unchosen = table.source().model_dump(exclude={"table", "query", "cursor", "key", "lag_s"})
    source = SqlSource.model_validate(unchosen, context={LOOKING: True})
    (found,) = [each for each in opened(source, surroundings()).discover() if each.name == table.name]
    assert (found.kind, found.namespace, found.rows) == ("table", "public", 40)


def test_rows_of_a_stretch_of_time_are_read_again_and_no_others(table: Table) -> None:
    table.add()
    connector = opened(table.source(), surroundings(batch_rows=7))
    assert isinstance(connector, Ranged)
    second, third = table.rows[20]["at"], table.rows[40]["at"]
    steps = list(connector.read_range(Stretch(second, third), None))
    assert [number for fetched, _ in steps for number in fetched.rows.column("id").to_pylist()] == list(range(20, 40))
    after = connector.read_range(Stretch(second, third), steps[0][1])
    assert [number for fetched, _ in after for number in fetched.rows.column("id").to_pylist()] == list(range(27, 40))
