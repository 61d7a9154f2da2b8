"""The warehouse must know an insert from a query, and where the rows of an insert begin."""

import pytest

from deploy.local.warehouse.errors import EngineError
from deploy.local.warehouse.statement import parse


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"SELECT 1", "select"),
        (b"  -- a comment\n  select 1", "select"),
        (b"/* INSERT */ (SELECT 1) UNION ALL (SELECT 2)", "select"),
        (b"FROM t SELECT a", "select"),
        (b"WITH x AS (SELECT 1) SELECT * FROM x", "select"),
        (b"WITH x AS (SELECT 'insert') SELECT * FROM x", "select"),
        (b"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "write"),
        (b"SHOW TABLES", "show"),
        (b"KILL QUERY WHERE 1", "show"),
        (b"CREATE TABLE t (a Int8) ENGINE = Memory", "write"),
        (b"INSERT INTO t VALUES (1)", "write"),
        (b"INSERT INTO t SELECT format('{}', a) FROM u", "write"),
        (b"INSERT INTO t SELECT format FROM u", "write"),
        (b"INSERT INTO t (a, values) FORMAT Native\n", "insert"),
        (b"INSERT INTO t SETTINGS async_insert=0 FORMAT CSV\n1", "insert"),
        (b"something new", "write"),
    ],
)
def test_kind(text: bytes, kind: str) -> None:
    assert parse(text).kind == kind


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b" ; \n", b"  \n"])
def test_rows_begin_after_the_format(separator: bytes) -> None:
    text = b"INSERT INTO `a b` (`FORMAT x`, c) FORMAT Native" + separator + b"\x00rows"
    statement = parse(text)
    assert statement.format == "Native"
    assert text[statement.data_at :] == b"\x00rows"
    assert statement.sql.strip() == b"INSERT INTO `a b` (`FORMAT x`, c)"


def test_rows_are_never_read_as_sql() -> None:
    statement = parse(b"INSERT INTO t FORMAT CSV\n1,' FORMAT JSON (")
    assert statement.format == "CSV"


def test_insert_through_input_reads_a_file_instead() -> None:
    sql = b"INSERT INTO t (a) SELECT a FROM input('a DateTime64(6, \\'UTC\\')') WHERE throwIf(1, 'input(no)') = 0 FORMAT Arrow"
    statement = parse(sql)
    assert statement.kind == "insert"
    assert statement.reading_from("/dev/null") == (
        "INSERT INTO t (a) SELECT a FROM file('/dev/null', Arrow, 'a DateTime64(6, \\'UTC\\')')"
        " WHERE throwIf(1, 'input(no)') = 0 "
    )


def test_output_format_is_the_last_clause_outside_quotes() -> None:
    assert (
        parse(b"SELECT ' FORMAT CSV', (SELECT 1) FORMAT JSONEachRow SETTINGS max_threads = 1").format == "JSONEachRow"
    )
    assert parse(b"SELECT format('{}', 1) AS format").format is None


def test_only_selects_in_formats_without_header_are_streamed() -> None:
    assert parse(b"SELECT 1").streamed("Native")
    assert not parse(b"SELECT 1").streamed("JSON")
    assert not parse(b"SHOW TABLES").streamed("Native")


@pytest.mark.parametrize(
    "text", [b"", b" \n", b"-- nothing", b"SET max_threads = 1", b"USE nyc", b"CREATE TEMPORARY TABLE t (a Int8)"]
)
def test_refused(text: bytes) -> None:
    with pytest.raises(EngineError):
        parse(text)
