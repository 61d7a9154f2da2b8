"""Decides how the rows of a model that is partitioned are had: by its query where something changed, else from its own table.

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
from headrace.stream.columns import OP
from services.ingest.connectors.model.columns import Given, bare_type, exported, is_plain, quoted, text
from services.ingest.connectors.model.partition_setting import STATE

#: That a partition `o` of the table is what the datasets make of it now, `s`, and that all of its rows are there: a run that
#: broke off, or of which rows were set aside, has to give them once more.
SAME: Final = "o.__s = concat(s.__s, ':', toString(o.__n))"
_CAST_WITHIN: Final = ("Array(", "Map(", "Tuple(")


@dataclass(frozen=True, slots=True)
class Read:
    """A dataset that the query reads: the columns it may depend on, and the partition of a row; without one, a row is in all."""

    dataset: str
    columns: Sequence[str]
    part: str = ""


@dataclass(frozen=True, slots=True)
class Own:
    """What shows of the model's last run: the view, and under which name it has each column that the query gives."""

    view: str
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A model's query and what it gives: `given` as it is, `leaving` as it leaves the warehouse. `of` tells which query it is.

    `own` is None where there is no row yet: then the query makes all partitions.
    """

    query: str
    column: str
    given: Sequence[Given]
    leaving: Sequence[Given]
    reads: Sequence[Read]
    of: str
    own: Own | None = None

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

    def rows(self) -> str:
        """The query for all rows of the result: those of partitions that did not change are taken from the table."""
        kept = self.kept()
        if self.own is None:
            return self._fresh(kept)
        held = f"SELECT {self._held(self.own)} FROM {self.own.view} AS t"
        return f"{self._fresh(kept)} UNION ALL {held} WHERE {self._part(self.own)} IN ({kept})"

    def changes(self, key: Sequence[str]) -> str:
        """The query for the rows of the partitions that changed, and for those of the table that these have no more.

        The column `_op` tells them apart.
        """
        kept = self.kept()
        fresh = f"SELECT *, 'insert' AS {OP} FROM ({self._fresh(kept)})"
        if self.own is None:
            return fresh
        held = f"SELECT {self._held(self.own)}, 'delete' AS {OP} FROM {self.own.view} AS t"
        every = f"{fresh} UNION ALL {held} WHERE {self._part(self.own)} NOT IN ({kept})"
        by = ", ".join(f"toString({quoted(each)})" for each in key)
        given = f"countIf({OP} = 'insert') OVER (PARTITION BY {by}) AS __given"
        return f"SELECT * EXCEPT __given FROM (SELECT *, {given} FROM ({every})) WHERE {OP} = 'insert' OR __given = 0"

    def kept(self) -> str:
        """The query for the partitions that did not change; nothing where there are none."""
        if self.own is None:
            return ""
        state = f"ifNull({quoted(STATE)}, '')"
        own = (
            f"SELECT {self._part(self.own)} AS __p, any({state}) AS __s, uniqExact({state}) AS __u, count() AS __n "
            f"FROM {self.own.view} AS t GROUP BY __p HAVING __u = 1"
        )
        found = (
            f"SELECT o.__p AS __p FROM ({own}) AS o INNER JOIN ({self._states()}) AS s ON o.__p = s.__p WHERE {SAME}"
        )
        return _once("__p", found)

    def _fresh(self, kept: str) -> str:
        """The rows of the partitions that are not kept, made by the query, with the state that they are made of."""
        listed, part = ", ".join(quoted(each.name) for each in self.leaving), f"toString(tuple({quoted(self.column)}))"
        made = f"SELECT {exported(self.given)} FROM ({self.query}) AS m"
        rows = f"SELECT {listed}, {part} AS __p FROM ({made}) AS e"
        rows += f" WHERE {part} NOT IN ({kept})" if kept else ""
        count = "toString(count() OVER (PARTITION BY g.__p))"
        state = f"if(s.__s = '', '', concat(s.__s, ':', {count})) AS {quoted(STATE)}"
        return f"SELECT {listed}, {state} FROM ({rows}) AS g LEFT JOIN ({self._states()}) AS s ON g.__p = s.__p"

    def _states(self) -> str:
        """Each partition that rows of the datasets have a part in, and their state."""
        parts = [
            f"SELECT toString(tuple(CAST(__k AS Nullable({self.kind})))) AS __p, {at} AS __i, count() AS __c, sum(__h) AS __t "
            f"FROM (SELECT {each.part} AS __k, {_hash(each.columns)} AS __h FROM {view_of(each.dataset)} AS __r) GROUP BY __p"
            for at, each in enumerate(self.reads)
            if each.part
        ]
        total = "SELECT toString((count(), sum({}))) AS __w FROM {} AS __r"
        wholes = [
            f" CROSS JOIN ({total.format(_hash(each.columns), view_of(each.dataset))}) AS w{at}"
            for at, each in enumerate(self.reads)
            if not each.part
        ]
        others = "".join(f", w{at}.__w" for at, each in enumerate(self.reads) if not each.part)
        rows = f"SELECT __p, toString(arraySort(groupArray((__i, __c, __t)))) AS __g FROM ({' UNION ALL '.join(parts)})"
        state = f"hex(sipHash128({text(self.of)}, p.__g{others}))"
        found = f"SELECT (p.__p, {state}) AS __e FROM ({rows} GROUP BY __p) AS p{''.join(wholes)}"
        return f"SELECT __e.1 AS __p, __e.2 AS __s FROM ({_once('__e', found)})"

    def _part(self, own: Own) -> str:
        return f"toString(tuple({self._as_given(own, self.column)}))"

    def _held(self, own: Own) -> str:
        columns = (f"{self._as_given(own, each.name)} AS {quoted(each.name)}" for each in self.leaving)
        return f"{', '.join(columns)}, ifNull({quoted(STATE)}, '') AS {quoted(STATE)}"

    def _as_given(self, own: Own, name: str) -> str:
        """A column of the table in the type that the query gives it."""
        kind = next(each.type for each in self.leaving if each.name == name)
        to = kind if bare_type(kind).startswith(_CAST_WITHIN) else f"Nullable({bare_type(kind)})"
        return f"CAST(t.{quoted(own.names[name])} AS {to})"


def _once(column: str, query: str) -> str:
    """A query of one column that is computed once, however often it stands in a statement: the engine remembers single values."""
    return f"SELECT arrayJoin((SELECT groupArray({column}) FROM ({query}))) AS {column}"


def _hash(columns: Sequence[str]) -> str:
    """A number of the values of a row. As text, also what is missing is told apart."""
    listed = ", ".join(f"__r.{quoted(each)}" for each in columns)
    return f"cityHash64(toString(tuple({listed})))" if columns else "toUInt64(1)"


def view_of(dataset: str) -> str:
    """The view of a dataset, as it stands in a query."""
    domain, _, name = dataset.partition(".")
    return f"{quoted(domain)}.{quoted(name)}"
