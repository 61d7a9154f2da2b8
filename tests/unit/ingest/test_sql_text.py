"""The SQL that the `sql` connector writes, and what it makes of what databases say: all without a database."""

import sqlite3
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pyarrow as pa
import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from headrace.connector import Step
from headrace.connector.conformance import LOOPBACK
from headrace.errors import Fatal, Transient
from services.ingest.connectors.sql import foreign, literals, mysql, oracle, postgresql, sqlserver
from services.ingest.connectors.sql.candidates import cursors
from services.ingest.connectors.sql.completeness import Seen
from services.ingest.connectors.sql.databases import Indexes
from services.ingest.connectors.sql.foreign import Refused
from services.ingest.connectors.sql.mysql_types import Described
from services.ingest.connectors.sql.mysql_types import column as mysql_column
from services.ingest.connectors.sql.places import given_back, place_of
from services.ingest.connectors.sql.server import Server
from services.ingest.connectors.sql.settings import SqlSource, SslMode
from services.ingest.connectors.sql.statements import Column, Dialect, Reading, _column_by_column

PASSWORD = "p:@/%'\"\\ ä"


def reading(dialect: Dialect) -> Reading:
    columns = [Column("id", pa.int64()), Column("at", pa.timestamp("us")), Column("name", pa.string(), "UPPER({})")]
    return Reading(dialect, "orders asked", columns, ["at", "id"])


BETWEEN = {
    mysql.MySqlDialect: (
        "SELECT asked.`id` AS `id`, asked.`at` AS `at`, UPPER(asked.`name`) AS `name` FROM orders asked WHERE "
        "asked.`at` <= '2024-01-02 00:00:00' AND (asked.`at` < '2024-01-02 00:00:00' OR "
        "(asked.`at` = '2024-01-02 00:00:00' AND asked.`id` <= 9)) AND "
        "asked.`at` >= '2024-01-01 00:00:00' AND (asked.`at` > '2024-01-01 00:00:00' OR "
        "(asked.`at` = '2024-01-01 00:00:00' AND asked.`id` > 7)) ORDER BY asked.`at`, asked.`id` LIMIT 5"
    ),
    sqlserver.SqlServerDialect: (
        "SELECT asked.[id] AS [id], asked.[at] AS [at], UPPER(asked.[name]) AS [name] FROM orders asked WHERE "
        "asked.[at] <= CAST('2024-01-02T00:00:00' AS DATETIME2(7)) AND (asked.[at] < CAST('2024-01-02T00:00:00' AS DATETIME2(7)) "
        "OR (asked.[at] = CAST('2024-01-02T00:00:00' AS DATETIME2(7)) AND asked.[id] <= 9)) AND "
        "asked.[at] >= CAST('2024-01-01T00:00:00' AS DATETIME2(7)) AND (asked.[at] > CAST('2024-01-01T00:00:00' AS DATETIME2(7)) "
        "OR (asked.[at] = CAST('2024-01-01T00:00:00' AS DATETIME2(7)) AND asked.[id] > 7)) "
        "ORDER BY asked.[at], asked.[id] OFFSET 0 ROWS FETCH NEXT 5 ROWS ONLY"
    ),
    oracle.OracleDialect: (
        'SELECT asked."id" AS "id", asked."at" AS "at", UPPER(asked."name") AS "name" FROM orders asked WHERE '
        "asked.\"at\" <= TIMESTAMP '2024-01-02 00:00:00' AND (asked.\"at\" < TIMESTAMP '2024-01-02 00:00:00' OR "
        '(asked."at" = TIMESTAMP \'2024-01-02 00:00:00\' AND asked."id" <= 9)) AND '
        "asked.\"at\" >= TIMESTAMP '2024-01-01 00:00:00' AND (asked.\"at\" > TIMESTAMP '2024-01-01 00:00:00' OR "
        '(asked."at" = TIMESTAMP \'2024-01-01 00:00:00\' AND asked."id" > 7)) '
        'ORDER BY asked."at", asked."id" FETCH FIRST 5 ROWS ONLY'
    ),
    postgresql.PostgreSqlDialect: (
        'SELECT asked."id" AS "id", asked."at" AS "at", UPPER(asked."name") AS "name" FROM orders asked WHERE '
        '(asked."at", asked."id") <= (CAST($1 AS ), CAST($2 AS )) AND (asked."at", asked."id") > (CAST($3 AS ), CAST($4 AS )) '
        'ORDER BY asked."at", asked."id" LIMIT 5'
    ),
}


@pytest.mark.parametrize("dialect", BETWEEN)
def test_rows_between_two_places(dialect: type[Any]) -> None:
    sql, values = reading(dialect()).between(["2024-01-01 00:00:00", 7], ["2024-01-02 00:00:00", 9], 5)
    assert sql == BETWEEN[dialect]
    assert values == ["2024-01-02 00:00:00", 9, "2024-01-01 00:00:00", 7]


def test_a_name_cannot_end_its_quotes() -> None:
    assert mysql.MySqlDialect().quoted("a`b") == "`a``b`"
    assert sqlserver.SqlServerDialect().quoted("a]b") == "[a]]b]"
    assert oracle.OracleDialect().quoted('a"b') == '"a""b"'


places = st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2))


@given(after=places, until=places)
def test_comparing_column_by_column_is_comparing_rows(after: Sequence[int], until: Sequence[int]) -> None:
    names = ["a", "b", "c"]
    behind = _column_by_column(">", names, [str(value) for value in after])
    before = _column_by_column("<", names, [str(value) for value in until])
    with sqlite3.connect(":memory:") as database:
        numbers = "(VALUES (0), (1), (2))"
        every = f"(SELECT x.column1 AS a, y.column1 AS b, z.column1 AS c FROM {numbers} x, {numbers} y, {numbers} z)"
        found = database.execute(f"SELECT a, b, c FROM {every} WHERE {behind} AND {before} ORDER BY 1, 2, 3").fetchall()
        all_rows = database.execute(f"SELECT a, b, c FROM {every} ORDER BY 1, 2, 3").fetchall()
    assert found == [row for row in all_rows if tuple(after) < row <= tuple(until)]


@given(st.text())
def test_a_text_leaves_no_character_of_itself_in_a_literal(value: str) -> None:
    assert literals.mysql(pa.string(), value) == f"_utf8mb4 X'{value.encode().hex()}'"
    assert (
        bytes.fromhex(literals.sqlserver(pa.string(), value)[len("CAST(0x") :].partition(" ")[0]).decode("utf-16-le")
        == value
    )
    inner = literals.oracle(pa.string(), value).removeprefix("TO_CHAR(UNISTR('").removesuffix("'))")
    assert b"".join(bytes.fromhex(unit) for unit in inner.split("\\")).decode("utf-16-be") == value
    assert set(inner) <= set("\\0123456789abcdef")


@pytest.mark.parametrize("write", [literals.mysql, literals.sqlserver, literals.oracle])
@pytest.mark.parametrize(
    "type", [pa.int64(), pa.float64(), pa.decimal128(9, 2), pa.date32(), pa.timestamp("us"), pa.time64("us")]
)
@pytest.mark.parametrize("value", ["1 OR 1=1", "1; DROP TABLE x", "'", "", "1e5 --", "٣", "nan", "2024-01-01' OR '1"])
def test_what_has_not_the_form_of_its_type_is_no_literal(write: Any, type: pa.DataType, value: str) -> None:
    with pytest.raises(ValueError):
        write(type, value)


def test_moments_of_sql_server_are_those_of_their_columns_type() -> None:
    assert literals.sqlserver(pa.timestamp("us"), "2024-01-02 03:04:05.003333", "datetime") == (
        "CAST(CAST('2024-01-02T03:04:05.003333' AS DATETIME2(7)) AS DATETIME)"
    )
    assert literals.sqlserver(pa.timestamp("us", "UTC"), "2024-01-02 03:04:05+00:00") == (
        "CAST('2024-01-02T03:04:05+00:00' AS DATETIMEOFFSET(7))"
    )


def test_the_columns_of_sql_server_are_asked_for_without_quoting_the_query() -> None:
    sql = sqlserver.described("(SELECT 'it''s' AS a) asked")
    assert "'" not in sql
    assert "SELECT * FROM (SELECT 'it''s' AS a) asked".encode("utf-16-le").hex() in sql


@pytest.mark.parametrize(
    ("kind", "type", "shown"),
    [
        ("decimal(12,2)", pa.decimal128(12, 2), "CONVERT(VARCHAR(60), {})"),
        ("money", pa.decimal128(19, 4), "CONVERT(VARCHAR(60), {}, 2)"),
        ("bigint", pa.int64(), "{}"),
        ("nvarchar(max)", pa.string(), "{}"),
        ("datetimeoffset(7)", pa.timestamp("us", "UTC"), "{}"),
        ("geography", pa.string(), "CONVERT(NVARCHAR(MAX), {})"),
    ],
)
def test_sql_server_gives_nothing_that_would_be_rounded(kind: str, type: pa.DataType, shown: str) -> None:
    column = sqlserver.column("c", kind, 12, 2)
    assert (column.type, column.shown) == (type, shown)


def test_oracle_gives_numbers_as_text() -> None:
    assert oracle.column("N", pa.int64()).type == pa.decimal128(38, 0)
    assert oracle.column("N", pa.float64()).shown == "TO_CHAR({}, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''')"
    assert literals.oracle(pa.string(), "1.5", "number") == "1.5"


def test_decimals_of_mysql_have_the_digits_of_their_column() -> None:
    assert mysql_column(Described("d", 246, length=32, scale=10)).type == pa.decimal128(30, 10)
    assert mysql_column(Described("d", 246, flags=32, length=20)).type == pa.decimal128(20, 0)
    assert mysql_column(Described("d", 246, length=67, scale=30)).type == pa.string()
    assert mysql_column(Described("what", 242)).shown == "CAST({} AS CHAR)"


def test_what_connectorx_gives_becomes_the_columns_type() -> None:
    columns = [Column("d", pa.decimal128(12, 2)), Column("at", pa.timestamp("us", "UTC")), Column("on", pa.bool_())]
    given = pa.table(
        {
            "d": pa.array(["1.50", None], pa.large_string()),
            "at": pa.array([0, None], pa.timestamp("us")),
            "on": pa.array([1, None], pa.uint64()),
        }
    )
    found = foreign.typed(given, columns)
    assert found.schema.types == [column.type for column in columns]
    assert str(found.column("d")[0].as_py()) == "1.50"


@pytest.mark.parametrize("size", [0, 3, 4, 7])
def test_pages_are_read_until_one_is_not_full(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FIRST_ROWS", "_LEAST_ROWS", "_MOST_ROWS"):
        monkeypatch.setattr(foreign, name, 2)
    columns = [Column("id", pa.int64())]
    asked: list[str] = []

    def ask(sql: str) -> pa.Table:
        asked.append(sql)
        first = int(sql.split(" > ")[1].split()[0]) + 1 if " > " in sql else 0
        return pa.table({"id": pa.array(range(first, min(first + 2, size)), pa.int64())})

    found = list(foreign.paged(Reading(mysql.MySqlDialect(), "t asked", columns, ["id"]), None, [99], ask))
    assert [row for page in found for row in page.column("id").to_pylist()] == list(range(size))
    assert len(asked) == size // 2 + 1


@pytest.mark.parametrize("type", [pa.binary(), pa.large_binary()])
def test_bytes_of_a_place_come_back(type: pa.DataType) -> None:
    (value,) = place_of(pa.RecordBatch.from_arrays([pa.array([b"\0\xff"], type)], ["k"]), 0, ["k"])
    assert given_back(value, type) == b"\0\xff"
    assert given_back("\\x00", pa.string()) == "\\x00"


class TestCompleteness:
    def test_without_writers_all_is_there(self) -> None:
        assert Seen().looked([3], set()).complete == [3]

    def test_what_was_noted_is_there_once_its_writers_have_ended(self) -> None:
        seen = Seen().looked([3], {"a"})
        assert seen.complete is None
        assert seen.looked([5], {"a", "b"}).complete is None
        seen = seen.looked([5], {"b"})
        assert seen.complete == [3]
        assert seen.looked([9], {"c"}).complete == [5]

    def test_a_lag_counts_from_when_a_row_was_noted(self) -> None:
        seen = Seen().waited([3], 0.0, 10)
        assert seen.waited([5], 9.9, 10).complete is None
        seen = seen.waited([5], 10.0, 10)
        assert seen.complete == [3]
        assert seen.waited([6], 20.0, 10).complete == [5]
        assert Seen().waited([3], 0.0, 0).complete == [3]


def server(sslmode: SslMode = "prefer", host: str = "127.0.0.1", ca: Path | None = None) -> Server:
    return Server(host, 3306, "sh/op", "us:er", SecretStr(PASSWORD), sslmode, ca, LOOPBACK)


@pytest.mark.parametrize(
    ("sslmode", "encrypted", "host", "mode"),
    [
        ("prefer", False, "127.0.0.1", "DISABLED"),
        ("prefer", True, "127.0.0.1", "REQUIRED"),
        ("verify-ca", True, "127.0.0.1", "VERIFY_CA"),
        ("verify-full", True, "db.test", "VERIFY_IDENTITY"),
    ],
)
def test_connectorx_goes_to_the_address_unless_the_name_is_to_be_verified(
    sslmode: SslMode, encrypted: bool, host: str, mode: str
) -> None:
    found = mysql.url(server(sslmode, "db.test", Path("/ca file")), ip_address("127.0.0.1"), encrypted)
    assert found.startswith(f"mysql://us%3Aer:p%3A%40%2F%25%27%22%5C%20%C3%A4@{host}:3306/sh%2Fop?")
    assert f"ssl-mode={mode}" in found
    assert ("ssl-ca=%2Fca%20file" in found) == encrypted


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    assert "@[::1]:3306/" in mysql.url(server(), ip_address("::1"), False)
    assert "@[::1]:3306/" in sqlserver.url(server(), ip_address("::1"))
    assert "@[::1]:3306/" in oracle.url(server(), ip_address("::1"))


def test_libpq_is_given_the_address_beside_the_name() -> None:
    found = postgresql.conninfo(server("verify-full"))
    assert "host='127.0.0.1' hostaddr='127.0.0.1' port='3306' dbname='sh/op' user='us:er'" in found
    assert "password='p:@/%\\'\"\\\\ ä' sslmode='verify-full' sslrootcert='system'" in found


def test_a_password_is_not_in_what_is_shown_of_a_server() -> None:
    assert PASSWORD not in repr(server())
    assert server().hidden(f"wrong: {PASSWORD}!") == "wrong: ***!"


@pytest.mark.parametrize(
    ("said", "step", "field"),
    [
        ('FATAL:  password authentication failed for user "x"', "authenticate", "source.password"),
        ("fe_sendauth: no password supplied", "authenticate", "source.password"),
        ('FATAL:  role "x" does not exist', "authenticate", "source.user"),
        ('FATAL:  database "x" does not exist', "authenticate", "source.name"),
        (
            'FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "x", database "y", no encryption',
            "authenticate",
            "source.user",
        ),
        ("server does not support SSL, but SSL was required", "tls", "source.sslmode"),
        ("SSL error: certificate verify failed", "tls", "source.ca"),
        ('root certificate file "x" does not exist', "tls", "source.ca"),
    ],
)
def test_what_libpq_says_is_laid_to_the_setting_at_fault(said: str, step: str, field: str) -> None:
    blame = postgresql.blamed(said)
    assert (blame.step, blame.field) == (step, field)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("MySqlError { ERROR 1146 (42S02): Table 'shop.x' doesn't exist }", 1146),
        ("Token error: 'Login failed for user 'sa'.' on server x executing  on line 1 (code: 18456, state: 1)", 18456),
        ("OCI Error: ORA-00942: table or view does not exist", 942),
        ("timed out waiting for connection", None),
    ],
)
def test_the_number_of_an_error_is_found(said: str, code: int | None) -> None:
    assert Refused(said).code == code


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (Refused("MySqlError { ERROR 1146 (42S02): Table 'shop.x' doesn't exist }"), Fatal),
        (Refused(f"{foreign.UNREADABLE}: Couldn't convert"), Fatal),
        (Refused("timed out waiting for connection: Connection refused"), Transient),
        (pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query"), Transient),
        (pymysql.err.OperationalError(1045, "Access denied"), Fatal),
        (pymysql.err.OperationalError(1040, "Too many connections"), Transient),
        (ConnectionRefusedError(111, "Connection refused"), Transient),
    ],
)
def test_waiting_helps_or_does_not(error: Exception, meant: type[Exception]) -> None:
    assert isinstance(mysql.meant(error, str(error), "reading x"), meant)


def test_apt_cursors_are_moments_with_an_index_and_numbers_that_the_database_gives() -> None:
    moments = [Column(name, pa.timestamp("us")) for name in ("made", "created_at", "last_modified")]
    columns = [Column("id", pa.int64()), *moments, Column("day", pa.date32())]
    indexes = Indexes(("id",), ("id",), ("id", "created_at", "last_modified", "day"))
    assert cursors(columns, indexes) == ["last_modified", "id", "created_at"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": "/var/run"}, "host"),
        ({"host": "a,b"}, "host"),
        ({"database": "oracle"}, "lag_s"),
        ({"sslmode": "verify-ca"}, "ca"),
        ({"key": []}, "key"),
        ({"query": "SELECT 1"}, "one of both"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any, said: str) -> None:
    given = {"type": "sql", "database": "postgresql", "name": "shop", "table": "t", "key": ["id"]}
    SqlSource.model_validate(given)
    with pytest.raises(ValidationError, match=said):
        SqlSource.model_validate(given | settings)


def test_nothing_is_claimed_of_transactions_that_are_not_asked_for() -> None:
    step = sqlserver.SqlServer(server()).overseen()
    assert (step.ok, step.field) == (False, "source.lag_s")


def test_oracle_does_not_pretend_to_encrypt() -> None:
    with pytest.raises(Fatal, match="not encrypted"), oracle.Oracle(server("require")).session("reading"):
        pass


def test_a_server_that_is_not_there_is_told_by_its_port() -> None:
    steps = list(Server("127.0.0.1", 1, "x", targets=LOOPBACK).found())
    assert [(step.name, step.ok) for step in steps] == [("resolve", True), ("connect", False)]
    assert isinstance(steps[-1], Step)
    assert steps[-1].field == "source.port"
