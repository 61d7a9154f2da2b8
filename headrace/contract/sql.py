"""How a dataset's SQL is made ready to run on batches, and how a dropped row is traced to the condition that dropped it.

The query gets one more column, `__row`, which ties each output row to its input row. `input` holds `__row` and
the source's columns, no system columns; the caller attaches those by `__row` afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from headrace.contract import rowwise
from headrace.contract.issue import Issue
from headrace.contract.mentions import EVERY, mentions
from headrace.contract.names import closest
from headrace.contract.rowwise import Own
from headrace.errors import ContractError, Problem

if TYPE_CHECKING:
    from headrace.contract.model import Contract

ROW: Final = "__row"
RULE: Final = "__rule"
NO_MATCH: Final = "no match in join"
MAX_CHARACTERS: Final = 50_000
#: Macros of DuckDB that are made of unnest().
UNNESTING: Final = frozenset({"regexp_split_to_table", "generate_subscripts"})
_MATCHED: Final = "__matched"
_DROPPED: Final = "__dropped"


@dataclass(frozen=True, slots=True)
class CompiledTransform:
    """A transform that is ready to run.

    `sql` gives the published rows and their `__row`. `rules` are the conditions that drop rows, in the order they
    apply. `attribution_sql`, over an `input` that holds only dropped rows, gives one (`__row`, `__rule`) each:
    the index of the first rule that is not true, or `len(rules)` when reference data has no match (NO_MATCH).
    It is None when no row can be dropped. Each of `references` is read as the table `reference_table` names.
    `columns` are the columns of the published rows; None when they depend on the source's.
    """

    sql: str
    rules: tuple[str, ...]
    attribution_sql: str | None
    references: tuple[str, ...]
    columns: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Examined:
    """What is known of a transform before it is compiled. `computed` are the columns that are not simply the input's."""

    issues: tuple[Issue, ...]
    references: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None
    computed: tuple[str, ...] = ()


def reference_table(dataset: str) -> str:
    """The table as which a transform reads another dataset."""
    return f"ref_{dataset.replace('.', '__')}"


def compile_transform(contract: "Contract") -> CompiledTransform:
    """The transform of a dataset, ready to run. Errors: ContractError when it is not row-wise."""
    text = contract.transform.sql or "SELECT * FROM input"
    tree, issues = _parsed(text, own_functions(contract.transform.hash_key))
    if issues or tree is None:
        problems = [Problem(0, 0, "transform.sql", i.found, i.expected, i.suggestion) for i in issues]
        raise ContractError(problems, contract.dataset)
    references = _references(tree)
    columns = _columns(tree)
    query = _with_row(tree)
    rules = [conjuncts(select) for _, select in rowwise.steps(query)]
    return CompiledTransform(
        sql=query.sql(dialect="duckdb", comments=False),
        rules=tuple(worded(rule) for step in rules for rule in step),
        attribution_sql=_attribution(query, rules),
        references=references,
        columns=columns,
    )


def own_functions(hash_key: object) -> Own:
    """Which of Headrace's own functions there are in the SQL of a dataset, given its `transform.hash_key`."""
    return Own.UNKEYED if hash_key is None else Own.ALL


def examine(text: str | None, own: Own = Own.ALL) -> Examined:
    """What is wrong with a transform, which datasets it refers to, and which columns it gives."""
    if text is None:
        return Examined(())
    tree, issues = _parsed(text, own)
    if tree is None:
        return Examined(tuple(issues))
    return Examined(tuple(issues), _references(tree), _columns(tree), _computed(tree))


def examine_expression(text: str) -> list[Issue]:
    """What is wrong with an expression that gives one value of one row, whose columns are not known."""
    return examine_condition(text, None, Own.NONE, "one expression, for example upper(dest)")


def examine_condition(
    text: str,
    columns: Sequence[str] | None,
    own: Own = Own.ALL,
    wanted: str = "one condition, for example arr_delay >= -120",
) -> list[Issue]:
    """What is wrong with a condition over one row. `columns` are those it may use, None when they are not known."""
    try:
        trees = _parse(f"SELECT {text}")
    except _UnparsableError as error:
        return [error.issue]
    if len(trees) != 1 or not isinstance(trees[0], exp.Select) or set(_used(trees[0])) != {"expressions"}:
        return [Issue((), repr(text), wanted)]
    [select] = trees
    if len(select.expressions) != 1 or isinstance(select.expressions[0], exp.Alias):
        return [Issue((), repr(text), wanted)]
    issues = list(rowwise.expressions(select, own))
    # A UDTF such as unnest() gives any number of rows; a query looks beyond the row, also without parentheses of its own.
    several = any(node is not select for node in select.find_all(exp.Query, exp.UDTF))
    unnesting = any(call.name.lower() in UNNESTING for call in select.find_all(exp.Anonymous))
    if several or unnesting or select.find(exp.Star, exp.Exists):
        issues.append(Issue((), repr(text), "an expression over the row's own columns"))
    known = {name.lower() for name in columns or ()}
    for path, bound in mentions(select.expressions[0]) if columns is not None else ():
        name = path[0]  # of `address.city` the column is address
        if name not in {*known, EVERY} and not bound:
            expected = f"a column of the published table ({', '.join(columns or ())})"
            issues.append(Issue((), repr(name), expected, closest(name, columns or ()), _line(select, name)))
    return issues


def _line(select: exp.Expr, name: str) -> int:
    """Where a name stands in the text, if the parser says so."""
    found = (
        each.meta.get("line", 0) for each in select.find_all(exp.Column, exp.Identifier) if each.name.lower() == name
    )
    return next((line for line in found if line), 0)


class _UnparsableError(Exception):
    def __init__(self, issue: Issue) -> None:
        super().__init__(issue.found)
        self.issue = issue


def _parse(text: str) -> list[exp.Expr]:
    if len(text) > MAX_CHARACTERS:
        raise _UnparsableError(Issue((), f"{len(text):,} characters of SQL", f"at most {MAX_CHARACTERS:,}"))
    try:
        trees = sqlglot.parse(text, dialect="duckdb")
        return [tree for tree in trees if tree is not None and not isinstance(tree, exp.Semicolon)]
    except SqlglotError as error:
        detail = (getattr(error, "errors", None) or [{}])[0]
        near = str(detail.get("highlight") or "").strip()
        reason = str(detail.get("description") or str(error).partition("\n")[0]).partition(" <Token")[0]
        found = f"SQL that cannot be read: {reason}" + (f" (near {near!r})" if near else "")
        raise _UnparsableError(Issue((), found, "one SELECT in DuckDB's SQL", line=detail.get("line") or 0)) from None
    except RecursionError:
        raise _UnparsableError(Issue((), "SQL that is nested too deeply", "a simpler expression, or CTEs")) from None


def _parsed(text: str, own: Own) -> tuple[exp.Select | None, list[Issue]]:
    """The query, if it is one, and everything that keeps it from running on a stream."""
    try:
        trees = _parse(text)
        if len(trees) != 1:
            found = f"{len(trees)} statements" if trees else "no statement"
            return None, [Issue((), found, "one SELECT over `input`")]
        [tree] = trees
        if issue := rowwise.statement(tree):
            return None, [issue]
        assert isinstance(tree, exp.Select)
        return tree, list(dict.fromkeys(rowwise.refused(tree, own)))
    except _UnparsableError as error:
        return None, [error.issue]
    except RecursionError:
        return None, [Issue((), "SQL that is nested too deeply", "a simpler expression, or CTEs")]


def _used(tree: exp.Expr) -> list[str]:
    return [name for name, value in tree.args.items() if value]


def _references(query: exp.Select) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for table in query.find_all(exp.Table) if (name := rowwise.reference(table))))


def _columns(query: exp.Select) -> tuple[str, ...] | None:
    """The columns a query gives; None when a `*` passes on whatever the source has."""
    given: tuple[str, ...] | None = None
    known: dict[str, tuple[str, ...] | None] = {}
    for name, select in rowwise.steps(query):
        source = rowwise.row_source(select)
        below = known.get(source.name.lower()) if source else None
        given = None if rowwise.stars(select) and below is None else _listed(select, below or ())
        known[name.lower()] = given
    return given


def _listed(select: exp.Select, below: Sequence[str]) -> tuple[str, ...] | None:
    columns: list[str] = []
    for projection in select.expressions:
        star = projection.this if isinstance(projection, exp.Column) else projection
        if not isinstance(star, exp.Star):
            columns.append(projection.alias_or_name)
        elif star.args.get("rename"):
            return None
        else:
            left_out = {column.name.lower() for column in star.args.get("except_") or []}
            columns.extend(name for name in below if name.lower() not in left_out)
    return tuple(columns)


def _computed(query: exp.Select) -> tuple[str, ...]:
    """The columns of the result that are made by an expression in some step, rather than passed on."""
    computed: set[str] = set()
    for _, select in rowwise.steps(query):
        for projection in select.expressions:
            passed_on = isinstance(projection, exp.Column) or (
                isinstance(projection, exp.Alias)
                and isinstance(projection.this, exp.Column)
                and projection.this.name == projection.alias
            )
            star = projection.this if isinstance(projection, exp.Column) else projection
            if isinstance(star, exp.Star):
                computed.update(replaced.alias for replaced in star.args.get("replace") or [])
            elif not passed_on:
                computed.add(projection.alias_or_name)
    return tuple(sorted(computed))


def _with_row(tree: exp.Select) -> exp.Select:
    """The query with `__row` in every SELECT list and reference data under its table names."""
    query = tree.copy()
    for table in list(query.find_all(exp.Table)):
        if dataset := rowwise.reference(table):
            alias = table.alias or dataset.rpartition(".")[2]
            table.replace(exp.alias_(exp.to_table(reference_table(dataset)), alias, table=True))
    for _, select in rowwise.steps(query):
        source = rowwise.row_source(select)
        if source is not None and not rowwise.stars(select):
            row = exp.column(ROW, table=source.alias_or_name)
            select.set("expressions", [row, *select.expressions])
    return query


def conjuncts(select: exp.Select) -> list[exp.Expr]:
    """The conditions of a SELECT's WHERE, each of which a row must meet."""
    where = select.args.get("where")
    if where is None:
        return []
    condition = where.this.unnest()
    return [part.unnest() for part in condition.flatten()] if isinstance(condition, exp.And) else [condition]


def worded(rule: exp.Expr) -> str:
    """A condition as people write it: `x IS NOT NULL`, not `NOT x IS NULL`."""

    def positive(node: exp.Expr) -> exp.Expr:
        inner = node.this if isinstance(node, exp.Not) else None
        if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
            return exp.Is(this=inner.this.copy(), expression=exp.var("NOT NULL"))
        return node

    return rule.transform(positive).sql(dialect="duckdb", comments=False)


def _attribution(query: exp.Select, rules: Sequence[Sequence[exp.Expr]]) -> str | None:
    """A query that says which rule dropped each row of `input`.

    Each step of the query is looked at with its WHERE taken away and its joins made outer ones: a row that did not
    get past it shows there which condition failed. A row with several matches is given the rule it got furthest to.
    """
    count = sum(len(step) for step in rules)
    looks: list[exp.Select] = []
    needed: list[tuple[str, exp.Select]] = []  # the steps that those which drop rows read from
    passed: list[tuple[str, exp.Select]] = []
    first = 0
    for (name, select), step in zip(rowwise.steps(query), rules, strict=True):
        if step or any(is_inner(join) for join in select.args.get("joins") or []):
            looks.append(_look(select, step, first, count))
            needed = list(passed)
        passed.append((name, select))
        first += len(step)
    if not looks:
        empties_lists = query.find(exp.Explode, exp.Unnest) is not None
        return f'SELECT "{ROW}", {count} AS "{RULE}" FROM input' if empties_lists else None  # noqa: S608
    result = sqlglot.parse_one(
        f'SELECT input."{ROW}", coalesce(max({_DROPPED}."{RULE}"), {count}) AS "{RULE}" FROM input '  # noqa: S608
        f'LEFT JOIN {_DROPPED} ON {_DROPPED}."{ROW}" = input."{ROW}" GROUP BY input."{ROW}"',
        dialect="duckdb",
    )
    assert isinstance(result, exp.Select)
    for name, select in needed:
        result = result.with_(name, as_=select.copy(), copy=False)
    dropped = exp.union(*looks, distinct=False) if len(looks) > 1 else looks[0]
    return result.with_(_DROPPED, as_=dropped, copy=False).sql(dialect="duckdb", comments=False)


def _look(select: exp.Select, rules: Sequence[exp.Expr], first: int, no_match: int) -> exp.Select:
    """(`__row`, `__rule`) of the rows that come to one step; `__rule` is null where the step lets a row pass."""
    source = rowwise.row_source(select)
    assert source is not None
    case = exp.Case()
    look = exp.select(exp.column(ROW, table=source.alias_or_name)).from_(source.copy())
    for join in select.args.get("joins") or []:
        outer = join.copy()
        if is_inner(join):
            alias = join.alias_or_name
            marked = exp.select("*", exp.alias_(exp.true(), _MATCHED)).from_(exp.to_table(join.this.name))
            outer.set("this", marked.subquery(alias))
            outer.set("side", "LEFT")
            outer.set("kind", None)
            case = case.when(exp.column(_MATCHED, table=alias).is_(exp.null()), exp.Literal.number(no_match))
        look.append("joins", outer)
    for i, rule in enumerate(rules, start=first):
        failed = exp.not_(exp.paren(rule.copy()).is_(exp.true()))
        case = case.when(failed, exp.Literal.number(i))
    verdict = case if case.args.get("ifs") else exp.null()
    return look.select(exp.alias_(exp.cast(verdict, "INT"), RULE))


def is_inner(join: exp.Join) -> bool:
    """Whether a join drops the rows that have no match."""
    return str(join.args.get("side") or "").upper() != "LEFT"
