"""Keeps what people write of datasets and columns beside their files, every state of it."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, func, insert, literal, select, true

from services.gateway.adapters.catalog_tables import NOTES


class Note(NamedTuple):
    """A state of a note. `column` is empty where it is on the dataset; `text` is empty where it was taken away."""

    id: int
    dataset: str
    column: str
    text: str
    author: str
    author_name: str
    at: datetime


class NoteStore:
    """The notes on all datasets: a state is only ever added to."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def standing(self, dataset: str) -> dict[str, str]:
        """The notes that stand, by column; that on the dataset by the empty name."""
        table = NOTES
        newest = select(func.max(table.c.id)).where(table.c.dataset == dataset).group_by(table.c.column)
        with self._engine.connect() as connection:
            rows = connection.execute(select(table.c.column, table.c.text).where(table.c.id.in_(newest)))
            return {column: text for column, text in rows if text}

    def history(self, dataset: str, column: str, most: int) -> list[Note]:
        """The newest states of a note, the newest first."""
        with self._engine.connect() as connection:
            return _newest(connection, dataset, column, most)

    def write(
        self, dataset: str, column: str, text: str, author: str, author_name: str, at: datetime, over: int | None = None
    ) -> Note | None:
        """Add a state; None when another one stands than that with the id `over` (0: none), if one is given."""
        row = {
            "dataset": dataset,
            "column": column,
            "text": text,
            "author": author,
            "author_name": author_name,
            "at": at,
        }
        values = [literal(value, NOTES.c[name].type) for name, value in row.items()]
        standing = select(func.coalesce(func.max(NOTES.c.id), 0)).where(*_of(dataset, column)).scalar_subquery()
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # else two who write at once do not see each other
                connection.exec_driver_sql("LOCK TABLE catalog_notes IN SHARE ROW EXCLUSIVE MODE")
            met = select(*values).where(true() if over is None else standing == over)
            if connection.execute(insert(NOTES).from_select(list(row), met)).rowcount == 0:
                return None
            return _newest(connection, dataset, column, 1)[0]

    def undo(self, dataset: str, column: str, over: int, author: str, author_name: str, at: datetime) -> Note | None:
        """Add the state before the one with the id `over` once more; None when that one does not stand."""
        states = self.history(dataset, column, 2)
        before = states[1].text if len(states) > 1 else ""
        return self.write(dataset, column, before, author, author_name, at, over) if states else None


def _of(dataset: str, column: str) -> tuple[ColumnElement[bool], ...]:
    return NOTES.c.dataset == dataset, NOTES.c.column == column


def _newest(connection: Connection, dataset: str, column: str, most: int) -> list[Note]:
    wanted = select(NOTES).where(*_of(dataset, column)).order_by(NOTES.c.id.desc()).limit(most)
    rows = connection.execute(wanted).mappings()
    return [Note(**row) for row in rows]
