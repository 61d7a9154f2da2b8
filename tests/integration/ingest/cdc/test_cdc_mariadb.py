"""What is MariaDB's own about captured changes: its types, a log that is kept for a time, and what its user needs."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from headrace.connector import SourceRow
from headrace.connector.conformance import Row
from headrace.errors import Fatal
from headrace.stream import metrics
from services.ingest.connectors.cdc.connect import Connect
from services.ingest.connectors.cdc.names import Names
from tests.integration.ingest.cdc.captured import Captured, CapturedOfMariaDb
from tests.integration.ingest.mariadb_types import READ, TYPES, VALUES
from tests.integration.ingest.running import until
from tests.stack import Stack

PASSWORD = "c4nary:p@ss/w%rd'"


@pytest.fixture
def captured(capturing: Stack, mariadb_url: str) -> Iterator[Callable[..., Captured]]:
    """Tables, taken away at the end with all that was set up for them."""
    made: list[Captured] = []

    def table(*arguments: Any, **settings: Any) -> Captured:
        made.append(CapturedOfMariaDb(mariadb_url, capturing, *arguments, **settings))
        return made[-1]

    yield table
    for each in made:
        each.close()


@contextmanager
def globally(table: Captured, name: str, value: str) -> Iterator[None]:
    """The server with another setting."""
    ((before,),) = table.asked(f"SELECT @@global.{name}")
    table.execute(f"SET GLOBAL {name} = {value}")
    try:
        yield
    finally:
        table.execute(f"SET GLOBAL {name} = {before!r}")


def test_every_type_is_read_from_snapshot_and_log_as_sql_reads_it(captured: Callable[..., Captured]) -> None:
    types, values, read = TYPES.replace(", ip inet6", ""), VALUES.replace(", '::1'", ""), {**READ}
    del read["ip"]
    table = captured(types)
    table.execute("SET time_zone = '+00:00'")
    with globally(table, "time_zone", "'+05:00'"):
        table.execute(f"INSERT INTO {table.name} VALUES ({values})")
        connector = table.connector()
        (first,), position = table.read(connector, None, 1)
        table.execute(f"DELETE FROM {table.name}")
        table.execute(f"INSERT INTO {table.name} VALUES ({values})")
        (deleted, second), _ = table.read(connector, position, 2)
    point = '{"x":1.0,"y":2.0,"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAABA","srid":null}'
    for row, op in ((first, "snapshot"), (deleted, "delete"), (second, "insert")):
        assert {**row, "_source_ts": None} == {**read, "g": point, "_op": op, "_source_ts": None}
    (stream,) = connector.discover()
    described = {field.name: field.type for field in stream.schema}
    assert connector._schema is not None
    assert {field.name: field.type for field in connector._schema} == {name: described[name] for name in read}


ODD = """
    id int PRIMARY KEY, en enum('a','b'), st set('x','y'), t time(1), day date DEFAULT '2024-01-01',
    local datetime(6) DEFAULT '2024-01-01 01:02:03.000004', part date, early date, name varchar(9) DEFAULT 'none',
    n int DEFAULT 7, bits bit(3) DEFAULT b'101', seen timestamp(6) NOT NULL"""


def test_values_at_the_edge_are_read_from_snapshot_and_log_as_sql_reads_them(captured: Callable[..., Captured]) -> None:
    table = captured(ODD)
    table.execute("SET sql_mode = ''")
    zeros = "'no such', '', '-00:00:00.5', 0, 0, '2024-00-00', '0024-01-02', '', 0, 0, 0"
    nulls = f"{', '.join(['NULL'] * 10)}, '2024-01-01'"
    insert = f"INSERT INTO {table.name} VALUES ({{}}, {zeros}), ({{}}, {nulls})"
    table.execute(insert.format(1, 2))
    connector = table.connector()
    first, position = table.read(connector, None, 2)
    table.execute(insert.format(3, 4))
    more, _ = table.read(connector, position, 2)
    none: dict[str, Any] = dict.fromkeys(["en", "st", "t", "day", "local", "part", "early", "name", "n", "bits"])
    odd = none | {
        "en": "",
        "st": "",
        "t": "-00:00:00.5",
        "early": dt.date(24, 1, 2),
        "name": "",
        "n": 0,
        "bits": 0,
    }
    for zero, null in (first, more):
        assert {name: zero[name] for name in none} == odd
        assert {name: null[name] for name in none} == none
        assert (zero["seen"], null["seen"] is None) == (None, False)


def test_the_year_zero_comes_through_the_log_and_is_said_where_a_snapshot_has_it(
    captured: Callable[..., Captured],
) -> None:
    table = captured("id int PRIMARY KEY, y year")
    table.execute(f"INSERT INTO {table.name} VALUES (1, 2000)")
    connector = table.connector()
    first, position = table.read(connector, None, 1)
    table.execute(f"INSERT INTO {table.name} VALUES (2, 0)")
    more, position = table.read(connector, position, 1)
    assert [row["y"] for row in (*first, *more)] == [2000, 0]
    with pytest.raises(Fatal, match="the year 0000"):
        table.read(table.connector(snapshot=2), position, 2)


def test_a_date_that_may_be_a_zero_date_is_set_aside_unless_there_is_none(captured: Callable[..., Captured]) -> None:
    """The control is the first day of 1970, of which Debezium makes no zero date where another day is the default."""
    table = captured(
        "id int PRIMARY KEY, must date NOT NULL, until_ date NOT NULL DEFAULT '9999-12-31', "
        "at datetime NOT NULL DEFAULT '2024-01-01', seen timestamp NOT NULL DEFAULT '2024-01-01'"
    )
    table.execute("SET sql_mode = ''")
    (caution,) = (step.message for step in table.connector().check() if step.name == "table")
    assert "until_, at, seen" in caution
    day = "'2024-02-02'"
    rows = [[day] * 4, *([day] * at + ["0"] + [day] * (3 - at) for at in range(4)), [day, "'1970-01-01'", day, day]]
    written = ", ".join(f"({number}, {', '.join(row)})" for number, row in enumerate(rows))
    table.execute(f"INSERT INTO {table.name} VALUES {written}")
    connector = table.connector()
    good: list[Row] = []
    bad: list[SourceRow] = []
    position: str | None = None

    def enough(count: int) -> bool:
        nonlocal position
        for fetched, reached in connector.read(position):
            position = reached
            good.extend(fetched.rows.to_pylist())
            bad.extend(fetched.rejected)
        return len(good) + len(bad) == count

    until(lambda: enough(6), "six rows", 90)
    table.execute(f"UPDATE {table.name} SET id = id + 10")
    until(lambda: enough(6 + 2 * 6), "their changes", 90)
    assert [row["id"] for row in good if row["_op"] != "delete"] == [0, 5, 10, 14, 15]
    assert next(row["seen"] for row in good if row["id"] == 14) is None, "there, the log tells one from the other"
    assert [row["id"] for row in good if row["_op"] == "delete"] == list(range(6)), "of these, the key matters"
    assert {row["until_"] for row in good if row["id"] % 10 == 5} == {dt.date(1970, 1, 1)}
    assert {row.reason for row in bad} == {"wrong_type"}
    assert [row.column for row in bad] == ["must", "until_", "at", "seen", "must", "until_", "at"]
    assert all("0000-00-00" in row.detail for row in bad)
    read, _ = table.read(table.connector(zero_dates=False), None, 6)
    assert [row["until_"] for row in read][2] == dt.date(9999, 12, 31)


def test_a_log_that_is_gone_stops_it_and_only_a_new_number_takes_a_new_snapshot(
    captured: Callable[..., Captured], capturing: Stack
) -> None:
    table = captured()
    table.insert(0, 3)
    _, position = table.read(table.connector(), None, 3)
    name = Names(table.dataset, 1).connector
    Connect(capturing.settings.connect_url).halt(name)
    table.insert(3, 1)

    def purged() -> bool:
        """The server keeps a log that a reader has, also one that has just gone."""
        table.execute("FLUSH BINARY LOGS")
        *_, (last, *_) = table.asked("SHOW BINARY LOGS")
        table.execute(f"PURGE BINARY LOGS TO '{last}'")
        return len(table.asked("SHOW BINARY LOGS")) == 1

    until(purged, "the log is gone", 30)
    with pytest.raises(Fatal, match=r"changes with it.*source\.snapshot` to 2"):
        table.read(table.connector(), position, 1)
    rows, _ = table.read(table.connector(snapshot=2), position, 4)
    assert [(row["id"], row["_op"]) for row in rows] == [(number, "snapshot") for number in range(4)]


def test_a_log_of_which_a_part_is_passed_over_stops_it(captured: Callable[..., Captured]) -> None:
    """The control is what it guards against: Debezium says nothing of the row, and goes on."""
    table = captured()
    table.insert(0, 3)
    connector = table.connector()
    _, position = table.read(connector, None, 3)
    with globally(table, "log_bin_compress", "1"):
        table.execute(f"INSERT INTO {table.name} (id, name) VALUES (3, '{'x' * 9000}')")
        with pytest.raises(Fatal, match=r"log_bin_compress is ON.*source\.snapshot to 2"):
            table.read(connector, position, 2)
    table.insert(4, 1)
    rows, _ = table.read(table.connector(), position, 1)
    assert [row["id"] for row in rows] == [4], "the one before it is not there"


def test_how_far_it_is_behind_is_shown(captured: Callable[..., Captured], capturing: Stack) -> None:
    table = captured(heartbeat_s=1)
    table.insert(0, 2000)
    connector = table.connector()
    _, position = table.read(connector, None, 2000)
    behind = metrics.SOURCE_BEHIND_BYTES.labels(table.dataset)._value
    behind.set(-1)

    def shown() -> float:
        list(connector.read(position))
        return float(behind.get())

    until(lambda: 0 <= shown() < 1000, "it has caught up", 30)
    worker, name = Connect(capturing.settings.connect_url), Names(table.dataset, 1).connector
    worker.pause(name)
    table.insert(2000, 2000)
    until(lambda: shown() > 10_000, "the log grows", 30)
    worker.resume(name)
    table.insert(4000, 1)  # the last transaction counts as behind
    _, position = table.read(connector, position, 2001)
    until(lambda: 0 <= shown() < 1000, "it has caught up again", 30)


GRANTS = "SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT"


def test_a_user_who_may_do_what_is_documented_and_no_more_is_enough(captured: Callable[..., Captured]) -> None:
    table = captured()
    user = f"r{table.name[-8:]}"
    with table.connection.cursor() as cursor:
        cursor.execute(f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY %s", (PASSWORD,))
    seen = table.surroundings(secret=lambda _: SecretStr(PASSWORD))

    def check() -> Any:
        *_, step = table.connector(seen, user=user, password="secret://shop").check()
        assert PASSWORD not in str(step)
        return step

    table.execute(f"GRANT SELECT ON shop.* TO {user}@'127.0.0.1'")
    assert (check().ok, check().field) == (False, "source.user")
    assert check().remedy.startswith("GRANT REPLICATION SLAVE, REPLICATION CLIENT, RELOAD ON *.*")
    table.execute(f"GRANT {GRANTS} ON *.* TO {user}@'127.0.0.1'")
    assert check().ok, check()
    table.insert(0, 3)
    connector = table.connector(seen, user=user, password="secret://shop")
    _, position = table.read(connector, None, 3)
    table.insert(3, 1)
    assert [row["id"] for row in table.read(connector, position, 1)[0]] == [3]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("binlog_format", "'MIXED'", "binlog_format is MIXED"),
        ("binlog_row_image", "'MINIMAL'", "binlog_row_image is MINIMAL"),
        ("binlog_expire_logs_seconds", "600", "keeps its log for 600 s"),
        ("log_bin_compress", "ON", "log_bin_compress is ON"),
    ],
)
def test_a_log_that_would_not_do_is_said(captured: Callable[..., Captured], name: str, value: str, said: str) -> None:
    table = captured()
    with globally(table, name, value):
        *_, step = table.connector().check()
    assert (step.name, step.ok) == ("log", False)
    assert said in step.message


def test_a_server_of_the_other_kind_is_said(captured: Callable[..., Captured]) -> None:
    *_, step = captured(type="mysql_cdc").connector().check()
    assert (step.ok, step.field, step.remedy) == (False, "source.type", "set source.type to mariadb_cdc")


def test_a_table_that_debezium_cannot_read_is_said(captured: Callable[..., Captured]) -> None:
    *_, step = captured("id int PRIMARY KEY, ip inet6").connector().check()
    assert (step.name, step.ok, step.field) == ("table", False, "source.table")
    assert step.message.endswith("the type of ip")
