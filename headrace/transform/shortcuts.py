"""What can be said of a row without trying it alone: that the SQL fails on it, or which rule dropped it.

DuckDB's TRY gives null for an expression that fails; around a struct of it, a null result and a failure differ.
"""

# ruff: noqa: S608 - names and values are quoted by `headrace.transform.quoting`, conditions were examined by `headrace.contract`

from typing import Final

import sqlglot
from sqlglot import exp

from headrace.contract import CompiledTransform
from headrace.contract.rowwise import row_source
from headrace.transform.checks import shown
from headrace.transform.judgement import ROW, case
from headrace.transform.quoting import literal, quoted

COLUMN: Final = "__column"
DETAIL: Final = "__detail"


def suspects_sql(sql: str) -> str | None:
    """A query that gives (ROW, COLUMN, DETAIL) for the rows of `input` that make an expression of `sql` fail.

    COLUMN is the one that cannot be computed, null for a condition. None for SQL of several steps. The query does
    not look into the conditions of joins, so it may fail, and a row that it does not give may fail still.
    """
    query = sqlglot.parse_one(sql, dialect="duckdb")
    source = row_source(query) if isinstance(query, exp.Select) else None
    if source is None or query.args.get("with_") or query.find(exp.Explode, exp.Unnest, exp.Subquery):
        return None
    where = query.args.get("where")
    fails = [] if where is None else [(_fails(where.this), "NULL", _about(where.this))]
    passes = "true" if where is None else f"coalesce(TRY({_text(where.this)}), false)"
    for part in query.expressions:
        if not isinstance(part.unalias(), exp.Column | exp.Star):
            condition = f"{passes} AND {_fails(part.unalias())}"
            fails.append((condition, literal(part.alias), _about(part.unalias())))
    if not fails:
        return None
    joins = " ".join(_text(join) for join in query.args.get("joins") or [])
    detail = case((condition, about) for condition, _, about in fails)
    column = case((condition, name) for condition, name, _ in fails)
    row = f"{quoted(source.alias_or_name)}.{ROW}"
    looked = f"SELECT {row}, {column} AS {COLUMN}, {detail} AS {DETAIL} FROM {_text(source)} {joins}"
    return f"SELECT {ROW}, min({COLUMN}), min({DETAIL}) FROM ({looked}) WHERE {DETAIL} IS NOT NULL GROUP BY {ROW} ORDER BY {ROW}"


def sole_rule(compiled: CompiledTransform) -> str | None:
    """The rule that dropped whatever row was dropped, where there is but one and nothing else can drop a row."""
    lists = sqlglot.parse_one(compiled.sql, dialect="duckdb").find(exp.Explode, exp.Unnest)
    return compiled.rules[0] if len(compiled.rules) == 1 and not compiled.references and lists is None else None


def _fails(expression: exp.Expression) -> str:
    return f"TRY({{'value': {_text(expression)}}}) IS NULL"


def _about(expression: exp.Expression) -> str:
    """An expression for what failed, and on which values: `CAST(price AS INT) fails on price = 'x'`."""
    names = dict.fromkeys(_text(column) for column in expression.find_all(exp.Column))
    values = " || ', ' || ".join(
        f"{literal(f'{name} = ')} || coalesce({shown(name, 'VARCHAR')}, 'null')" for name in names
    )
    return literal(f"{_text(expression)} fails on ") + " || " + (values or "'any row'")


def _text(node: exp.Expression) -> str:
    return node.sql("duckdb", comments=False)
