"""Transforms made at random, and what DuckDB makes of a row by them."""

from collections.abc import Sequence
from typing import Any, Final

import duckdb
from hypothesis import strategies as st

from headrace.contract import Contract
from headrace.contract.model import Transform
from tests.unit.contract.documents import contract, with_sql

#: A dataset referred to, as `p`; see the fixture `database`.
P: Final = "ref('shop.products') AS p"
COLUMNS: Final = ("a", "b", "c")
ORDERED: Final = contract(with_sql("SELECT * FROM input"))


@st.composite
def transforms(draw: st.DrawFn) -> str:
    """The SQL of a transform in up to three steps, over the columns a, b and c of `input`."""
    steps: list[str] = []
    source, names = "input", list(COLUMNS)
    for at in range(draw(st.integers(1, 3))):
        joins = draw(st.sampled_from(["", "", "", "JOIN", "LEFT JOIN"]))
        known = [*names, *(f"i.{name}" for name in names), *(["p.v", "p.k"] if joins else [])]
        text, given = draw(_select_list(names, known, f"{at}", bool(joins)))
        sql = f"SELECT {text} FROM {source} AS i"
        if joins:
            sql += f" {joins} {P} ON p.k = {draw(_expressions([f'i.{name}' for name in names]))}"
        if draw(st.booleans()):
            sql += f" WHERE {draw(_expressions(known))} {draw(st.sampled_from(['> 0', 'IS NOT NULL', '<> 2']))}"
        steps.append(sql)
        source, names = f"step{at}", given
    ctes = ", ".join(f"step{at} AS ({sql})" for at, sql in enumerate(steps[:-1]))
    return f"WITH {ctes} {steps[-1]}" if ctes else steps[0]


@st.composite
def _select_list(draw: st.DrawFn, names: list[str], known: list[str], step: str, joins: bool) -> tuple[str, list[str]]:
    """(a SELECT list, the names it gives)."""
    text: list[str] = []
    given: list[str] = []
    if draw(st.booleans()):
        left_out, replaced, renamed = (draw(st.sampled_from(["", *names])) for _ in range(3))
        star, given = "i.*" if joins else "*", list(names)
        if left_out and len(names) > 1:
            star += f" EXCLUDE ({left_out})"
            given.remove(left_out)
        if replaced in given:
            star += f" REPLACE ({draw(_expressions(known))} AS {replaced})"
        if renamed in given and renamed != replaced:
            star += f" RENAME ({renamed} AS r{step})"
            given[given.index(renamed)] = f"r{step}"
        text.append(star)
    usable, starred = list(known), bool(text)
    for at in range(draw(st.integers(0 if text else 1, 3))):
        taken = [] if starred else [name for name in COLUMNS if name not in given]  # names that hide those of the rows
        name = draw(st.sampled_from([f"n{step}{at}", *taken]))
        expression = draw(_expressions(usable, at == 0))
        text.append(f"{expression} AS {name}")
        given.append(name)
        if name not in names and not expression.startswith("unnest"):  # which DuckDB does not take in a lambda
            usable.append(name)
    return ", ".join(text), given


def _expressions(names: list[str], several: bool = False) -> st.SearchStrategy[str]:
    """Expressions over columns of integers, which give an integer; with `several` also for several rows of one."""
    forms = [
        "{0}", "{0} + {1}", "coalesce({0}, {1})", "CASE WHEN {0} > 1 THEN {1} ELSE {2} END", "({0} + {1}).abs()", "{0}.abs()",
        "{{'a': {0}, 'b': {1}}}['a']", "list_sum(list_transform([{0}, 1], lambda a: a + {1}))", "struct_pack(c := {0}, x := 1).c",
        "[b FOR b IN [{0}, {1}] IF b > 0][1]", "[c.abs() FOR c IN [{0}]][1]", "nullif({0}, {1})",
        *(["unnest([{0}, {1}])", "unnest(CASE WHEN {0} > 1 THEN [{1}, 1] ELSE [] END)"] if several else []),
    ]  # fmt: skip
    chosen = st.sampled_from(names)
    return st.builds(lambda form, *columns: form.format(*columns), st.sampled_from(forms), chosen, chosen, chosen)


def result_of(database: duckdb.DuckDBPyConnection, sql: str, row: Sequence[int | None]) -> dict[str, list[Any]]:
    """The columns that a transform makes of one row."""
    database.execute("UPDATE input SET a = ?, b = ?, c = ?", [*row])
    result = database.execute(sql)
    names = [description[0] for description in result.description or []]
    rows = result.fetchall()
    return {name: [values[at] for values in rows] for at, name in enumerate(names)}


def dataset(name: str, sql: str) -> dict[str, Contract]:
    return {name: with_transform(sql).model_copy(update={"dataset": name})}


def with_transform(sql: str) -> Contract:
    return ORDERED.model_copy(update={"transform": Transform(sql=sql)})
