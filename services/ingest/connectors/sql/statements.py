"""The SQL of reading in order, for all kinds of databases: pure text, in which each writes names and values its own way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from services.ingest.connectors.sql.places import Place, given_back

ALIAS = "asked"
"""What the table or query is called in our statements, so that a column is never taken for what is made of it."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is read: its type in Arrow, and how its value is written in SQL.

    `shown` makes of the column what Arrow can hold, `{}` being the column; `usable` is a condition of it without which its value
    has no place in an order; `kind` is the database's own name of its type, where values to compare it with need it.
    """

    name: str
    type: pa.DataType
    shown: str = "{}"
    usable: str = "{} IS NOT NULL"
    kind: str = ""


class Dialect(Protocol):
    """How a kind of database writes what differs."""

    compares_rows: bool
    """Whether it knows `(a, b) > (1, 2)`, and uses an index for it."""

    def quoted(self, name: str) -> str:
        """A name as an identifier."""
        ...

    def value(self, number: int, column: Column, value: Any) -> str:
        """A value to compare a column with: a literal, or the parameter with this number, counted from 1."""
        ...

    def limited(self, select: str, rows: int) -> str:
        """A SELECT with its ORDER BY, cut to so many rows."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """A table or query, its columns, and the order in which it is read.

    `stretch` are the first value of the first column in order that is wanted, and the first behind it; None wants all.
    """

    dialect: Dialect
    relation: str
    columns: Sequence[Column]
    order: Sequence[str]
    stretch: tuple[Any, Any] | None = None

    def column(self, name: str) -> Column:
        """The column of a name."""
        return next(column for column in self.columns if column.name == name)

    def last(self) -> str:
        """The last row in order, of its order columns only."""
        descending = ", ".join(f"{self._raw(name)} DESC" for name in self.order)
        ordered = [self.column(name) for name in self.order]
        select = f"SELECT {self._shown(ordered)} FROM {self.relation} WHERE {self._placed()} ORDER BY {descending}"  # noqa: S608
        return self.dialect.limited(select, 1)

    def unplaced(self) -> str:
        """How many rows have no place in the order."""
        return (
            f"SELECT count(*) AS unplaced FROM {self.relation} WHERE CASE WHEN {self._placed()} THEN 0 ELSE 1 END = 1"  # noqa: S608
        )

    def between(self, after: Place | None, until: Place | None, most: int | None = None) -> tuple[str, list[Any]]:
        """The rows behind one place, up to another, in order; at most so many. With it, the values of its parameters."""
        conditions: list[str] = []
        values: list[Any] = []
        for sign, place in (("<", until), (">", after)):
            if place is not None:
                conditions.append(self._compared(sign, place, 1 + len(values)))
                values += self._given(place)
        for sign, bound in zip((">=", "<"), self.stretch or (), strict=False):
            name = self.order[0]
            given = given_back(bound, self.column(name).type)
            conditions.append(
                f"{self._raw(name)} {sign} {self.dialect.value(1 + len(values), self.column(name), given)}"
            )
            values.append(given)
        usable = [text for name in self.order if (text := self._usable(name)) != f"{self._raw(name)} IS NOT NULL"]
        select = (
            f"SELECT {self._shown(self.columns)} FROM {self.relation} "  # noqa: S608
            f"WHERE {' AND '.join([*conditions, *usable])} ORDER BY {', '.join(map(self._raw, self.order))}"
        )
        return (self.dialect.limited(select, most) if most is not None else select), values

    def _raw(self, name: str) -> str:
        return f"{ALIAS}.{self.dialect.quoted(name)}"

    def _usable(self, name: str) -> str:
        return self.column(name).usable.replace("{}", self._raw(name))

    def _placed(self) -> str:
        return " AND ".join(self._usable(name) for name in self.order)

    def _shown(self, columns: Sequence[Column]) -> str:
        return ", ".join(
            f"{column.shown.replace('{}', self._raw(column.name))} AS {self.dialect.quoted(column.name)}"
            for column in columns
        )

    def _given(self, place: Place) -> list[Any]:
        return [given_back(value, self.column(name).type) for name, value in zip(self.order, place, strict=True)]

    def _compared(self, sign: str, place: Place, first: int) -> str:
        """Whether a row stands before (`<`, or there) or behind (`>`) a place."""
        values = [
            self.dialect.value(first + at, self.column(name), value)
            for at, (name, value) in enumerate(zip(self.order, self._given(place), strict=True))
        ]
        names = [self._raw(name) for name in self.order]
        if self.dialect.compares_rows:
            return f"({', '.join(names)}) {sign}{'=' if sign == '<' else ''} ({', '.join(values)})"
        return _column_by_column(sign, names, values)


def _column_by_column(sign: str, names: Sequence[str], values: Sequence[str]) -> str:
    """A comparison of rows in such a form that an index over the columns serves it."""
    name, value = names[0], values[0]
    if len(names) == 1:
        return f"{name} {sign}{'=' if sign == '<' else ''} {value}"
    rest = _column_by_column(sign, names[1:], values[1:])
    return f"{name} {sign}= {value} AND ({name} {sign} {value} OR ({name} = {value} AND {rest}))"
