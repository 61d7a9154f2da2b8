"""Decides which partitions of a model's result a row of a dataset that it reads has a part in.

Where the column by which the result is partitioned is made of the rows of one dataset alone, that follows from the query. Else
the dataset file has to say it. A dataset of which neither is the case has a part in all partitions.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import Field as Setting
from sqlglot import exp

from headrace.contract.fields import ColumnName
from headrace.contract.section import Section
from headrace.sql_guard import RefusedQueryError, guarded_condition, parsed
from services.ingest.connectors.model.query import ModelQuery
from services.ingest.connectors.model.select_parts import changes_by_itself, has_subtotals, is_star, of_several

STATE: Final = "partition_state"
"""The column that says of which rows of its datasets a partition was made."""

_DIALECT: Final = "clickhouse"
#: Parts of a SELECT with which a row has a part in other partitions than its own, or that are not followed.
_NOT_FOLLOWED: Final = ("with_", "laterals", "limit", "offset", "fetch", "limit_by", "qualify", "windows", "prewhere")
#: The side and the kind of joins with which a row of the first dataset has a part in its own partition alone.
_SIDES: Final = ("", "LEFT")
_KINDS: Final = ("", "INNER", "OUTER", "CROSS")


class Partition(Section):
    """By what the result is partitioned, so that a run computes those partitions alone whose rows have changed."""

    column: ColumnName = Setting(
        description="The column of the result. The rows that have one value in it are a partition."
    )
    of: dict[str, str] = Setting(
        {},
        description="Of datasets that the query reads, the partition that a row of theirs has a part in, as an expression over "
        "its columns: `nyc.flights: toDate(time_hour)`. Where the query tells it, it need not be said; a change of any other "
        "dataset concerns all partitions.",
    )


def parts(partition: Partition, sql: str, query: ModelQuery) -> Mapping[str, str]:
    """Of each dataset that is told apart by partitions the expression over its columns, in parentheses.

    Errors: ValueError, with what to write instead.
    """
    _check(partition, sql, query)
    derived = _derived(partition.column, parsed(sql)[0])
    written = {name: _expression(name, each) for name, each in partition.of.items()}
    if not (found := {**derived, **written}):
        name = query.references[0]
        raise ValueError(
            f"partition.of: of which rows {partition.column} is made cannot be told from the query. Say it of at least one "
            f"dataset, for example `of: {{{name}: toDate(time_hour)}}`"
        )
    return found


def _check(partition: Partition, sql: str, query: ModelQuery) -> None:
    if query.parameters:
        raise ValueError("a query that gives every row, without `{since}` and `{until}`: partitions take their place")
    statement = parsed(sql)[0]
    if any(is_star(each) for each in statement.selects):
        raise ValueError("the names of the columns in the place of `*`: with `partition` they have to be known")
    if partition.column not in query.gives:
        raise ValueError(
            f"partition.column: a column that the query gives ({', '.join(query.gives)}), not {partition.column}"
        )
    if STATE in query.gives:
        raise ValueError(f"another name for the column {STATE}: `partition` adds one of that name")
    if changes_by_itself(statement):
        raise ValueError("a query that gives the same of the same rows, without now(), rand() and the like")
    if unread := [name for name in partition.of if name not in query.references]:
        raise ValueError(
            f"partition.of: datasets that the query reads ({', '.join(query.references)}), not {unread[0]}"
        )


def _expression(dataset: str, written: str) -> str:
    """Errors: ValueError when it is not one expression over the columns of a row."""
    try:
        condition = guarded_condition(written)
    except RefusedQueryError as error:
        raise ValueError(f"partition.of.{dataset}: an expression over the columns of one row: {error}") from error
    query = parsed(f"SELECT {condition}")[0]
    if any(of_several(each) for each in query.selects) or changes_by_itself(query) or not query.find(exp.Column):
        raise ValueError(
            f"partition.of.{dataset}: an expression over the columns of one row, without aggregates, now() and rand()"
        )
    return condition


def _derived(column: str, query: exp.Query) -> Mapping[str, str]:
    """The dataset of whose rows alone the column is made, if the query is one that can be followed."""
    if not isinstance(query, exp.Select) or not _is_plain(query):
        return {}
    value = next(each for each in query.selects if each.alias_or_name == column).unalias()
    source, joins = query.args["from_"].this, query.args.get("joins") or []
    others = {each.alias for each in query.selects if each.alias} - {column}
    columns = list(value.find_all(exp.Column))
    known = all(
        each.table == source.alias if each.table else not joins and each.name not in others for each in columns
    ) and all(each.name != column or isinstance(value, exp.Column) for each in columns if not each.table)
    if not columns or not known or of_several(value) or value.find(exp.Query, exp.Star):
        return {}
    own = value.copy()
    for each in list(own.find_all(exp.Column)):
        each.set("table", None)
    if own.find(exp.Column) is None:
        return {}
    return {source.this.expressions[0].name: f"({own.sql(dialect=_DIALECT)})"}


def _is_plain(query: exp.Select) -> bool:
    """Whether a row of the first dataset has a part in the rows alone that have its own value in a column made of it."""
    joins = query.args.get("joins") or []
    sources = [query.args["from_"], *joins] if query.args.get("from_") else []
    refs = [
        each.this for each in sources if isinstance(each.this, exp.Table) and isinstance(each.this.this, exp.Anonymous)
    ]
    names = [each.this.expressions[0].name for each in refs]
    distinct, group = query.args.get("distinct"), query.args.get("group")
    return (
        bool(sources)
        and len(refs) == len(sources)
        and names.count(names[0]) == 1
        and not any(query.args.get(name) for name in _NOT_FOLLOWED)
        and not (distinct is not None and distinct.args.get("on"))
        and not any(each is not query for each in query.find_all(exp.Query))
        and query.find(exp.Window) is None
        and all(each.side in _SIDES and each.kind in _KINDS for each in joins)
        and not any(each.args.get("method") for each in joins)
        and not (group is not None and has_subtotals(group))
    )


def mentioned(sql: str, columns: Iterable[str]) -> list[str]:
    """Of a dataset's columns those whose values the query may depend on: their names stand somewhere in it."""
    query = parsed(sql)[0]
    names = {each.name.lower() for each in query.find_all(exp.Identifier)}
    every = any(is_star(each) for select in query.find_all(exp.Select) for each in select.expressions)
    return [name for name in columns if name.lower() in names or (every and not name.startswith("_"))]
