"""Rows for sources of tests, and reading them all."""

from collections.abc import Sequence

from headrace.connector import Connector
from headrace.connector.conformance import Row


def numbered(first: int, count: int) -> list[Row]:
    """Rows that tell which they are."""
    return [{"id": number, "name": f"n{number}"} for number in range(first, first + count)]


def csv(rows: Sequence[Row]) -> bytes:
    """The rows as a CSV file."""
    return b"id,name\n" + b"".join(f"{row['id']},{row['name']}\n".encode() for row in rows)


def read_all(connector: Connector, position: str | None = None) -> tuple[list[Row], str | None]:
    """The rows behind a position, and the position behind those."""
    rows: list[Row] = []
    reached = position
    for fetched, after in connector.read(position):
        reached = after
        assert fetched.rejected == ()
        rows.extend(fetched.rows.to_pylist())
    return rows, reached
