"""The `sql` connector owes what every connector owes, and reads no row before those that may still come in front of it."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.connector import Choosing, Connector, Surroundings, opened
from headrace.connector.conformance import Conformance, Row
from headrace.contract.source import LOOKING
from headrace.errors import Fatal
from services.ingest.connectors.sql.settings import SqlSource


class Table:
    """A table of SQLite whose rows share cursors, read by (cursor, key)."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._folder = folder
        self._settings = {"table": "orders", "cursor": "day", "key": ["id"], **settings}
        self.rows: list[Row] = []
        with self._database() as database:
            database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT, day INTEGER NOT NULL)")
        self.add()
        self.add()

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(self._folder / "shop.db")

    def add(self) -> Sequence[Row]:
        """See `SourceUnderTest.add`."""
        first = len(self.rows)
        rows = [{"id": number, "name": f"n{number}", "day": number // 5} for number in range(first, first + 20)]
        with self._database() as database:
            database.executemany("INSERT INTO orders VALUES (:id, :name, :day)", rows)
        self.rows += rows
        return rows

    def source(self, **settings: Any) -> SqlSource:
        return SqlSource.model_validate(
            {"type": "sql", "database": "sqlite", "name": "shop.db", **self._settings, **settings}
        )

    def connect(self, surroundings: Surroundings) -> Connector:
        """See `SourceUnderTest.connect`."""
        return opened(self.source(), replace(surroundings, folder=self._folder))

    def unreachable(self) -> Connector:
        """See `SourceUnderTest.unreachable`."""
        return opened(self.source(name="none.db"), Surroundings("a.b", folder=self._folder))


class TestTable(Conformance):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Table:
        return Table(tmp_path)


class TestQuery(Conformance):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Table:
        return Table(tmp_path, table=None, query="SELECT id, name, day FROM orders;")


@pytest.mark.parametrize(
    ("settings", "field", "said"),
    [
        ({"table": "none"}, "source.table", "no such table"),
        ({"table": None, "query": "SELEC 1"}, "source.query", "syntax error"),
        ({"cursor": "at"}, "source.table", "has no column 'at'"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_read(tmp_path: Path, settings: Any, field: str, said: str) -> None:
    connector = opened(Table(tmp_path).source(**settings), Surroundings("a.b", folder=tmp_path))
    step = list(connector.check())[-1]
    assert (step.ok, step.field) == (False, field)
    assert said in step.message


def test_rows_that_would_never_be_read_are_found(tmp_path: Path) -> None:
    table = Table(tmp_path)
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("INSERT INTO orders VALUES (1000, NULL, 7)")
    connector = opened(table.source(cursor="name"), Surroundings("a.b", folder=tmp_path))
    step = list(connector.check())[-1]
    assert (step.ok, step.field) == (False, "source.cursor")
    assert "1 rows have no name" in step.message


def test_a_file_that_lies_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    source = Table(tmp_path).source(name="../shop.db")
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_ROOTS"):
        opened(source, Surroundings("a.b", folder=tmp_path / "files"))


def test_a_database_lists_its_tables_before_one_is_chosen(tmp_path: Path) -> None:
    table = Table(tmp_path)
    with table._database() as database:
        database.execute("CREATE VIEW of_today AS SELECT * FROM orders")
    unchosen = {"type": "sql", "database": "sqlite", "name": "shop.db"}
    source = SqlSource.model_validate(unchosen, context={LOOKING: True})
    connector = opened(source, Surroundings("a.b", folder=tmp_path))
    assert isinstance(connector, Choosing)
    steps = list(connector.check())
    assert (steps[-1].name, steps[-1].ok, steps[-1].message) == (
        "list",
        True,
        "2 tables and views may be read: of_today, orders",
    )
    assert [(each.name, each.kind) for each in connector.discover()] == [("of_today", "view"), ("orders", "table")]
    assert list(connector.read(None)) == []


def test_the_control_a_dataset_has_to_say_which_table(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="a table or a query"):
        SqlSource.model_validate({"type": "sql", "database": "sqlite", "name": "shop.db"})
    chosen = {"type": "sql", "database": "sqlite", "name": "shop.db", "table": "orders"}
    with pytest.raises(ValidationError, match="a key"):
        SqlSource.model_validate(chosen, context={LOOKING: True})
