"""Decides how the rows of a model that is partitioned are had: partitions whose rows have changed from the query, others from the table.

Each row of the result says in one column of which state of the datasets its partition was made, and how many rows the partition
has. A run compares that with the state there is, in the statement that gives the rows. What the table says is all there is to
know: nothing is remembered beside it, so it does not matter which run shows, or whether runs between were refused.

The state of a partition is a hash over the columns that the query names, of the rows that have a part in it, and over the query.
So a row that came, changed, went away or moved to another partition is seen, whatever way the dataset is loaded.
"""
# ruff: noqa: S608

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.connector import ReadingFailed
from services.ingest.connectors.model.columns import Given, bare_type, exported, is_plain, quoted, text
from services.ingest.connectors.model.partition_setting import STATE

#: That a partition `o` of the table is what the datasets make of it now, `s`, and that none of its rows was set aside.
SAME: Final = "o.__s = concat(s.__s, ':', toString(o.__n))"
_CAST_WITHIN: Final = ("Array(", "Map(", "Tuple(")


@dataclass(frozen=True, slots=True)
class Read:
    """A dataset that the query reads: the columns it may depend on, and the partition of a row; without one, a row is in all."""

    dataset: str
    columns: Sequence[str]
    part: str = ""


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A model's query and what it gives: `given` as it is, `leaving` as it leaves the warehouse. `of` tells which query it is."""

    query: str
    column: str
    given: Sequence[Given]
    leaving: Sequence[Given]
    reads: Sequence[Read]
    of: str

    @property
    def kind(self) -> str:
        """The type of the column by which the result is partitioned. Errors: ReadingFailed when there can be none by it."""
        found = next((bare_type(each.type) for each in self.leaving if each.name == self.column), None)
        if found is None:
            raise ReadingFailed(f"the model gives no column {self.column}, by which it is partitioned")
        if not is_plain(found):
            raise ReadingFailed(
                f"a model cannot be partitioned by {self.column}, which is {found}: give it as text, or otherwise"
            )
        return found

    def rows(self, table: str = "", held: Mapping[str, str] | None = None) -> str:
        """The query for all rows of the result. `table` is what shows of the model's last run, with the columns of `held`: each
        that the query gives, and the name it has there; without it, every partition is made by the query."""
        listed = ", ".join(quoted(each.name) for each in self.leaving)
        fresh = self._fresh(listed, self.kept(table, held) if held is not None else "")
        if held is None:
            return fresh
        carried = self._held(held, [each.name for each in self.leaving])
        kept = f"SELECT {carried}, {quoted(STATE)} FROM {table} AS t WHERE {self._part(held)} IN ({self.kept(table, held)})"
        return f"{fresh} UNION ALL {kept}"

    def _fresh(self, listed: str, kept: str) -> str:
        """The rows of the partitions that are not kept, made by the query, with the state that they are made of."""
        part = f"toString(tuple({quoted(self.column)}))"
        made = f"SELECT {exported(self.given)} FROM ({self.query}) AS m"
        rows = f"SELECT {listed}, {part} AS __p FROM ({made}) AS e"
        rows += f" WHERE {part} NOT IN ({kept})" if kept else ""
        count = "toString(count() OVER (PARTITION BY g.__p))"
        state = f"if(s.__s = '', '', concat(s.__s, ':', {count})) AS {quoted(STATE)}"
        return f"SELECT {listed}, {state} FROM ({rows}) AS g LEFT JOIN ({self._states()}) AS s ON g.__p = s.__p"

    def kept(self, table: str, held: Mapping[str, str]) -> str:
        """The partitions that the table has, all of whose rows are of the state that there is."""
        own = (
            f"SELECT {self._part(held)} AS __p, any({quoted(STATE)}) AS __s, uniqExact({quoted(STATE)}) AS __u, count() AS __n "
            f"FROM {table} AS t GROUP BY __p HAVING __u = 1"
        )
        return f"SELECT o.__p FROM ({own}) AS o INNER JOIN ({self._states()}) AS s ON o.__p = s.__p WHERE {SAME}"

    def _states(self) -> str:
        """Each partition that rows of the datasets have a part in, and their state."""
        cast = f"Nullable({self.kind})"
        parts = [
            f"SELECT toString(tuple(CAST(__k AS {cast}))) AS __p, {at} AS __i, count() AS __c, sum(__h) AS __t "
            f"FROM (SELECT {each.part} AS __k, {_hash(each.columns)} AS __h FROM {view_of(each.dataset)} AS __r) GROUP BY __p"
            for at, each in enumerate(self.reads)
            if each.part
        ]
        wholes = [
            f"(SELECT toString((count(), sum({_hash(each.columns)}))) AS __w FROM {view_of(each.dataset)} AS __r) AS w{at}"
            for at, each in enumerate(self.reads)
            if not each.part
        ]
        others = "".join(f", w{at}.__w" for at, each in enumerate(self.reads) if not each.part)
        rows = f"SELECT __p, toString(arraySort(groupArray((__i, __c, __t)))) AS __g FROM ({' UNION ALL '.join(parts)}) GROUP BY __p"
        joined = "".join(f" CROSS JOIN {each}" for each in wholes)
        return f"SELECT p.__p AS __p, hex(sipHash128({text(self.of)}, p.__g{others})) AS __s FROM ({rows}) AS p{joined}"

    def _part(self, held: Mapping[str, str]) -> str:
        return f"toString(tuple({self._as_given(held, self.column)}))"

    def _held(self, held: Mapping[str, str], names: Sequence[str]) -> str:
        return ", ".join(f"{self._as_given(held, name)} AS {quoted(name)}" for name in names)

    def _as_given(self, held: Mapping[str, str], name: str) -> str:
        """A column of the table in the type that the query gives it."""
        kind = next(each.type for each in self.leaving if each.name == name)
        to = kind if bare_type(kind).startswith(_CAST_WITHIN) else f"Nullable({bare_type(kind)})"
        return f"CAST(t.{quoted(held[name])} AS {to})"


def _hash(columns: Sequence[str]) -> str:
    """A number of the values of a row. As text, also what is missing is told apart."""
    listed = ", ".join(f"__r.{quoted(each)}" for each in columns)
    return f"cityHash64(toString(tuple({listed})))" if columns else "toUInt64(1)"


def view_of(dataset: str) -> str:
    """The view of a dataset, as it stands in a query."""
    domain, _, name = dataset.partition(".")
    return f"{quoted(domain)}.{quoted(name)}"
