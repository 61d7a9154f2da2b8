"""Where an engine keeps its tables beyond its process: a file of DuckDB, and beside it what does not fit in memory."""

# ruff: noqa: S608 - names are quoted by `headrace.transform.quoting`

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import duckdb

from headrace.errors import Fatal
from headrace.transform.quoting import literal, quoted

#: The most that one engine may write beside its tables, if nothing else is said.
SPILL: Final = "2GB"

#: Below a folder of stores, those that go with their engines.
PASSING: Final = "passing"

#: What the file holds, and how. Another DuckDB may write it in another way, or make another type of a column.
LAYOUT: Final = f"1, DuckDB {duckdb.__version__}"

#: Who finds these wrong is out of room or of rights: that says nothing of the file.
_NOT_THE_FILE: Final = (
    *("No space left", "Disk quota exceeded", "File too large"),
    *("Permission denied", "Read-only file system", "Too many open files"),
)


class Unreadable(Fatal):
    """What is kept is damaged, or of another version: it has to be made anew."""


class Occupied(Fatal):
    """Another process has it open."""


@dataclass(frozen=True, slots=True)
class Store:
    """A folder that one engine has for itself. What is `passing` goes with the engine. Units: `spill` as DuckDB writes sizes."""

    folder: Path
    spill: str = SPILL
    passing: bool = False

    @classmethod
    def aside(cls, folder: Path, spill: str = SPILL) -> "Store":
        """One below `folder` that nobody else has, for as long as its engine lives. Errors: Fatal."""
        passing = folder / PASSING
        try:
            passing.mkdir(parents=True, exist_ok=True, mode=0o700)
            return cls(Path(tempfile.mkdtemp(dir=passing)), spill, passing=True)
        except OSError as error:
            raise Fatal(f"reference data cannot be kept in {passing}: {error}") from error

    def discard(self) -> None:
        """Throw away what is kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def opened(self, config: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
        """A connection to what is kept, every block of which could be read. Errors: Unreadable, Occupied, Fatal."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        spilled = self.folder / "spill"
        own = {"temp_directory": str(spilled)}
        try:
            connection = duckdb.connect(str(self.folder / "tables.duckdb"), config={**config, **own})
        except duckdb.Error as error:
            duckdb.connect(":memory:", config={**config, **own}).close()  # else it is not the file that is at fault
            raise _blamed(error) from error
        try:
            shutil.rmtree(
                spilled, ignore_errors=True
            )  # of a process that was killed: the file is locked by this one now
            # DuckDB 2.0 does not heed the limit where it is part of the configuration.
            connection.execute(f"SET max_temp_directory_size = {literal(self.spill)}")
            _verify(connection)
        except duckdb.Error as error:
            connection.close()
            raise _blamed(error) from error
        except BaseException:
            connection.close()
            raise
        return connection


def _blamed(error: duckdb.Error) -> Fatal:
    said = str(error).partition("\n")[0]
    if "Could not set lock" in said:
        return Occupied(said)
    if any(each in said for each in _NOT_THE_FILE):
        return Fatal(f"DuckDB cannot keep its tables: {said}")
    return Unreadable(said)


def _verify(connection: duckdb.DuckDBPyConnection) -> None:
    """Read everything, so that damage shows now and not amid a batch. A file that is new is given its layout."""
    tables = _tables(connection)
    if not tables:
        connection.execute(f"CREATE SCHEMA store; CREATE TABLE store.layout AS SELECT {literal(LAYOUT)} AS layout")
        return
    if not any(name == '"store"."layout"' for name, _ in tables):
        raise Unreadable("it does not say in which layout it was written")
    layouts = connection.execute("SELECT layout FROM store.layout").fetchall()
    if layouts != [(LAYOUT,)]:
        raise Unreadable(f"it was written in layout {layouts[0][0] if layouts else 'none'}, and this is {LAYOUT}")
    for name, columns in tables:
        connection.execute(f"SELECT bit_xor(hash({columns})) FROM {name}").fetchall()


def _tables(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Each table with its columns, as SQL has them."""

    def each() -> Iterator[tuple[str, str]]:
        found = connection.execute(
            "SELECT schema_name, table_name, column_name FROM duckdb_columns() "
            "WHERE NOT internal ORDER BY schema_name, table_name, column_index"
        ).fetchall()
        for (schema, table), rows in groupby(found, key=lambda row: row[:2]):
            yield f"{quoted(schema)}.{quoted(table)}", ", ".join(quoted(row[2]) for row in rows)

    return list(each())
