"""Which SQL can run on a stream: one SELECT whose every output row depends on one input row and on reference data.

What cannot is refused with the way to say the same thing in Headrace.
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final

from sqlglot import exp

from headrace.contract.functions import OWN, OwnFunction, calls, catalogue
from headrace.contract.issue import Issue
from headrace.contract.names import closest

INPUT: Final = "input"
REF: Final = "ref"

_ACROSS: Final = "load.mode upsert for the latest row of each key, a query over the published table for all else"
_SAME_AGAIN: Final = "so that a replay gives the same rows"
#: What to say in place of a function that gives another result another time.
STEADY: Final = {
    **dict.fromkeys(
        (
            *("now", "ago", "today", "sysdate", "unix_timestamp", "transaction_timestamp"),
            *("current_date", "current_time", "current_timestamp", "current_localtime", "current_localtimestamp"),
            *("localtime", "localtimestamp", "get_current_time", "get_current_timestamp"),
        ),
        f"a time that the row has, {_SAME_AGAIN}; when it came is in `_ingested_at` of the published table",
    ),
    **dict.fromkeys(
        ("random", "setseed"), f"hash() of a column that differs from row to row, such as hash(id) % 100, {_SAME_AGAIN}"
    ),
    **dict.fromkeys(
        ("uuid", "uuidv4", "uuidv7", "gen_random_uuid"),
        f"md5(column)::UUID of what identifies the row, {_SAME_AGAIN}",
    ),
    **dict.fromkeys(
        ("nextval", "currval", "setval"),
        f"the key of the row, {_SAME_AGAIN}; `_partition`, `_offset` and `_seq` of the published table count rows",
    ),
}  # fmt: skip

#: Parts of a SELECT that look at more than one row, or that a stream cannot honour.
CLAUSES: Final = {
    "group": ("GROUP BY", "a row-wise SELECT: aggregate in a query over the published table"),
    "having": ("HAVING", "a row-wise SELECT: aggregate in a query over the published table"),
    "distinct": ("DISTINCT", "a key and load.mode upsert, which keep one row of each key"),
    "order": ("ORDER BY", "load.order_by, which sorts the published table"),
    "limit": ("LIMIT", "a WHERE on the rows' own values: a stream has no first rows"),
    "offset": ("OFFSET", "a WHERE on the rows' own values: a stream has no first rows"),
    "fetch": ("FETCH", "a WHERE on the rows' own values: a stream has no first rows"),
    "qualify": ("QUALIFY", f"a WHERE on the rows' own values; {_ACROSS}"),
    "windows": ("WINDOW", f"a row-wise SELECT; {_ACROSS}"),
    "sample": ("a sample", "a WHERE on the rows' own values, for example hash(id) % 100 = 0"),
    "pivots": ("PIVOT", "one column for each value with CASE"),
    "laterals": ("LATERAL", "unnest() in the SELECT list"),
    "into": ("INTO", "a SELECT alone: Headrace writes the published table"),
    "locks": ("FOR UPDATE", "a SELECT alone"),
}  # fmt: skip
_WHOLE_TABLE = "load.mode and load.order_by say how the table is written; a dataset file runs no other statements"
STATEMENTS: Final[dict[type[exp.Expr], tuple[str, str]]] = {
    exp.SetOperation: ("a set operation such as UNION", "one SELECT over `input`: give each source its own dataset"),
    exp.Values: ("VALUES", "a SELECT over `input`"),
    exp.Pivot: ("PIVOT", "a SELECT with one column for each value"),
}


class Own(Enum):
    """Which of Headrace's own functions there are where an expression is computed."""

    NONE = "none"
    UNKEYED = "unkeyed"
    ALL = "all"


_FILES = "a source of type file in a dataset of its own, joined with ref('domain.name')"


def statement(tree: exp.Expr) -> Issue | None:
    """Why a statement is no SELECT over `input`, if so."""
    if isinstance(tree, exp.Select):
        return None
    for kind, (found, expected) in STATEMENTS.items():
        if isinstance(tree, kind):
            return Issue((), found, expected)
    return Issue(
        (),
        f"{'an' if tree.key[0] in 'aeiou' else 'a'} {tree.key.upper()} statement",
        f"a SELECT over `input`: {_WHOLE_TABLE}",
    )


def steps(query: exp.Select) -> list[tuple[str, exp.Select]]:
    """The SELECTs of a query in the order rows pass through them, each with its name; the last has none."""
    with_ = query.args.get("with_")
    ctes = with_.expressions if with_ else []
    return [*((cte.alias, cte.this) for cte in ctes if isinstance(cte.this, exp.Select)), ("", query)]


def refused(query: exp.Select, own: Own) -> Iterator[Issue]:
    """Everything in a query that is not row-wise, or is not there."""
    yield from _ctes(query)
    names: list[str] = []
    for name, select in steps(query):
        yield from _clauses(select)
        yield from _sources(select, names)
        yield from _stars(select)
        yield from _whole_rows(select)
        yield from _projection_names(select)
        yield from _beside_star(select)
        names.append(name)
    members = {id(select) for _, select in steps(query)}
    for nested in query.find_all(exp.Query):
        if id(nested) not in members and not isinstance(nested, exp.Subquery | exp.Table):
            if isinstance(nested.parent, exp.CTE):
                yield _issue(nested, f"{nested.key.upper()} in a CTE", "a row-wise SELECT in each CTE")
            else:
                yield _issue(
                    nested, "a subquery", "a JOIN with ref('domain.name'), a CTE over `input`, or a references check"
                )
    yield from expressions(query, own)


def expressions(tree: exp.Expr, own: Own) -> Iterator[Issue]:
    """Everything in an expression that depends on more than the row, or is not there."""
    functions = catalogue()
    windowed = {id(call) for window in tree.find_all(exp.Window) for call in window.this.walk()}
    for window in tree.find_all(exp.Window):
        yield _issue(window, _sql(window), f"a row-wise expression; {_ACROSS}")
    for call, name in calls(tree):
        if id(call) in windowed:
            continue
        if name in functions.windows:
            yield _issue(call, f"the window function {name}()", f"a row-wise expression; {_ACROSS}")
        elif isinstance(call, exp.AggFunc) or name in functions.aggregates:
            yield _issue(
                call,
                f"the aggregate {_sql(call)}",
                "a row-wise expression; on lists list_sum(), list_max() and the like, over rows a query over the published table",
            )
        elif name in functions.unstable or name.startswith(("pg_", "duckdb_")):
            yield _issue(
                call,
                f"{name}(), which gives another result another time",
                STEADY.get(name, f"a constant, or a value of the row itself, {_SAME_AGAIN}"),
            )
        elif name == "age" and len(call.expressions) == 1:
            yield _issue(call, "age() of one timestamp, which looks at the clock", "age(later, earlier)")
        elif name in ("glob", "read_csv", "read_json", "read_parquet", "read_text", "read_blob"):
            yield _issue(call, f"{name}()", _FILES)
        elif name in OWN:
            yield from _own(call, OWN[name], own)
        elif isinstance(call, exp.Anonymous) and name not in functions.known and name != REF:
            known = functions.known if own is Own.NONE else functions.known | set(OWN)
            yield _issue(call, f"the unknown function {name}()", "a function of DuckDB", closest(name, known))
    for several in tree.find_all(exp.Columns, exp.PositionalColumn):
        found = "COLUMNS()" if isinstance(several, exp.Columns) else f"{_sql(several)}, a column by its place"
        yield _issue(several, found, "the columns by name")
    for parameter in tree.find_all(exp.Placeholder, exp.Parameter):
        yield _issue(parameter, f"the parameter {_sql(parameter)}", "the value itself")


def _own(call: exp.Expr, function: OwnFunction, own: Own) -> Iterator[Issue]:
    """What is wrong with a call of one of Headrace's own functions."""
    if own is Own.NONE:
        yield _issue(
            call, f"{function.name}()", "a function of DuckDB; this one is there in transform.sql and in checks"
        )
    elif function.keyed and own is Own.UNKEYED:
        expected = (
            "transform.hash_key: secret://NAME beside the SQL, a key to hash with: without one, whoever hashes each likely "
            "value finds the one behind a hash"
        )
        yield _issue(call, f"{function.name}() without a key", expected)
    named = any(isinstance(argument, exp.PropertyEQ | exp.Kwarg) for argument in call.expressions)
    if named or len(call.expressions) != len(function.parameters):
        yield _issue(call, _sql(call), f"{function}, its values in this order and without names")


def reference(table: exp.Expr) -> str | None:
    """The dataset that `ref('domain.name')` names; None for any other table."""
    call = table.this if isinstance(table, exp.Table) else None
    if isinstance(call, exp.Anonymous) and str(call.name).lower() == REF and len(call.expressions) == 1:
        argument = call.expressions[0]
        return str(argument.this) if isinstance(argument, exp.Literal) and argument.is_string else None
    return None


def row_source(select: exp.Select) -> exp.Table | None:
    """The table a SELECT takes its rows from."""
    from_ = select.args.get("from_")
    return from_.this if from_ is not None and isinstance(from_.this, exp.Table) else None


def _ctes(query: exp.Select) -> Iterator[Issue]:
    with_ = query.args.get("with_")
    if with_ is None:
        return
    if with_.args.get("recursive"):
        yield _issue(
            with_, "WITH RECURSIVE", "row-wise CTEs; within a list list_transform(), list_reduce() and the like"
        )
    read = {source.name.lower() for _, select in steps(query) if (source := row_source(select))}
    seen: set[str] = set()
    for cte in with_.expressions:
        name = cte.alias.lower()
        if name == INPUT or name.startswith("ref_") or name in seen:
            yield _issue(cte, f"a CTE called {cte.alias!r}", "a name of its own; input and ref_... are taken")
        seen.add(name)
        if cte.args["alias"].args.get("columns"):
            yield _issue(cte, f"column names after {cte.alias!r}", "AS in the SELECT list of the CTE")
        if name not in read:
            yield _issue(
                cte, f"the CTE {cte.alias!r}, from which no row is taken", "each CTE in the FROM of a later one"
            )
        if isinstance(cte.this, exp.Select) and cte.this.args.get("with_"):
            yield _issue(cte, f"WITH inside the CTE {cte.alias!r}", "all CTEs in one WITH")


def _clauses(select: exp.Select) -> Iterator[Issue]:
    for clause, (found, expected) in CLAUSES.items():
        if part := select.args.get(clause):
            yield _issue(part[0] if isinstance(part, list) else part, found, expected)


def _sources(select: exp.Select, ctes: Iterable[str]) -> Iterator[Issue]:
    known = {INPUT, *(name.lower() for name in ctes)}
    from_ = select.args.get("from_")
    source = row_source(select)
    if from_ is None:
        yield _issue(select, "a SELECT without FROM", "FROM input")
    elif source is None:
        yield _issue(from_, f"FROM {_sql(from_.this)}", "FROM input, or a CTE over it")
    else:
        yield from _table(source, known)
    aliases = [source.alias_or_name.lower()] if source else []
    for join in select.args.get("joins") or []:
        kind = " ".join(filter(None, (str(join.args.get(key) or "") for key in ("method", "side", "kind")))).upper()
        if isinstance(join.this, exp.Unnest):
            yield _issue(join, f"a join with {_sql(join.this)}", "unnest() in the SELECT list")
        elif (name := reference(join.this)) is None:
            yield _issue(join, f"a join with {_sql(join.this)}", "reference data: JOIN ref('domain.name') AS x ON ...")
        elif kind not in ("", "INNER", "LEFT", "LEFT OUTER"):
            yield _issue(join, f"{kind} JOIN", "JOIN or LEFT JOIN; for rows without a match LEFT JOIN and IS NULL")
        elif not (join.args.get("on") or join.args.get("using")):
            yield _issue(join, f"a join with {_sql(join.this)} without a condition", "JOIN ... ON a.column = b.column")
        else:
            yield from _dataset_name(join, name)
        aliases.append(join.alias_or_name.lower() or (reference(join.this) or "").rpartition(".")[2])
        for clause in ("sample", "pivots"):
            if join.this.args.get(clause):
                yield _issue(join, *CLAUSES[clause])
    for name in {alias for alias in aliases if aliases.count(alias) > 1}:
        yield _issue(select, f"two tables called {name!r}", "a name for each: JOIN ref('domain.name') AS x ON ...")


def _dataset_name(join: exp.Join, name: str) -> Iterator[Issue]:
    domain, _, table = name.partition(".")
    if not (domain.isidentifier() and table.isidentifier() and name == name.lower()):
        yield _issue(join, f"ref({name!r})", "ref('domain.name') in lower case letters, digits and underscores")


def _table(table: exp.Table, known: set[str]) -> Iterator[Issue]:
    name = table.name.lower()
    if (dataset := reference(table)) is not None:
        yield _issue(
            table, f"FROM ref({dataset!r})", f"FROM input JOIN ref({dataset!r}) AS x ON ...: input has the rows"
        )
    elif not isinstance(table.this, exp.Identifier):
        yield _issue(table, f"the table function {_sql(table.this)}", f"FROM input; for other data {_FILES}")
    elif table.args.get("db") or name not in known:
        expected = "FROM input; to read another dataset, JOIN ref('domain.name') AS x ON ..."
        yield _issue(table, f"the table {_sql(table)}", expected, closest(name, known))
    alias = table.args.get("alias")
    if alias is not None and alias.args.get("columns"):
        yield _issue(table, f"column names after {alias.name!r}", "AS in the SELECT list")
    for clause in ("sample", "pivots"):
        if table.args.get(clause):
            yield _issue(table, *CLAUSES[clause])


def stars(select: exp.Select) -> list[tuple[str, exp.Expr]]:
    """The `*` and `x.*` of a SELECT list, each with its table's name or an empty text."""
    found: list[tuple[str, exp.Expr]] = []
    for projection in select.expressions:
        if isinstance(projection, exp.Star):
            found.append(("", projection))
        elif isinstance(projection, exp.Column) and isinstance(projection.this, exp.Star):
            found.append((projection.table.lower(), projection))
    return found


def _stars(select: exp.Select) -> Iterator[Issue]:
    source = row_source(select)
    rows = source.alias_or_name.lower() if source else INPUT
    found = stars(select)
    for table, star in found:
        if table and table != rows:
            yield _issue(star, _sql(star), "the columns of reference data by name")
        elif not table and select.args.get("joins"):
            yield _issue(star, "* with a join", f"{rows}.*, and the columns of reference data by name", f"{rows}.*")
    if len(found) > 1:
        yield _issue(select, "more than one * in a SELECT list", "one")


def _whole_rows(select: exp.Select) -> Iterator[Issue]:
    """Rows as values: they have columns that are not the source's (`__row`), and those of the source as they happen to stand."""
    source = row_source(select)
    rows = source.alias_or_name.lower() if source else INPUT
    listed = {id(each) for each in select.expressions}  # `*`, `x.*`, `* LIKE 'a%'`
    clauses = [select.args.get("where"), *(join.args.get("on") for join in select.args.get("joins") or [])]
    for part in [*select.expressions, *filter(None, clauses)]:
        for column in part.find_all(exp.Column):
            if not column.table and column.name.lower() == rows:
                yield _issue(column, f"the row {column.name} as a value", "its columns by name")
        for star in part.find_all(exp.Star):
            if not {id(star), id(star.parent)} & listed:
                yield _issue(star, f"{_sql(star.parent or star)}: a row as a value", "its columns by name")


def _projection_names(select: exp.Select) -> Iterator[Issue]:
    seen: set[str] = set()
    for projection in select.expressions:
        name = projection.alias_or_name
        if isinstance(projection, exp.Star) or isinstance(getattr(projection, "this", None), exp.Star):
            continue
        if not isinstance(projection, exp.Alias | exp.Column):
            yield _issue(projection, f"{_sql(projection)} without a name", "a name: ... AS name")
        elif not (name.isascii() and name.isidentifier()):
            yield _issue(projection, f"a column called {name!r}", "a name of letters, digits and underscores: AS name")
        elif name.lower() in seen:
            yield _issue(projection, f"two columns called {name!r}", "a name for each: AS name")
        seen.add(name.lower())
    for column in select.find_all(exp.Column, exp.Alias):
        if (name := column.alias_or_name).startswith("_"):
            yield _issue(
                column, f"the column {name!r}", "columns without a leading underscore: those are system columns"
            )


def _beside_star(select: exp.Select) -> Iterator[Issue]:
    """Columns made of one of the same name beside a `*` that brings that one, too.

    That of the source would be published, and what was made of it lost. Where the SQL does not tell whether the source has such a
    column, the transformer says so when it sees its rows.
    """
    source = row_source(select)
    rows = source.alias_or_name.lower() if source else INPUT
    for _, star in stars(select):
        kept = star.this if isinstance(star, exp.Column) else star
        gone = {part.name.lower() for part in kept.args.get("except_") or []}
        gone |= {part.this.name.lower() for part in kept.args.get("rename") or []}
        for made in select.expressions:
            if isinstance(made, exp.Alias) and (name := made.alias.lower()) not in gone and _made_of(made, name, rows):
                found = f"two columns called {made.alias!r}: one of the * and {_sql(made)}"
                yield _issue(made, found, f"the one in the place of the other: * REPLACE ({_sql(made)})")


def _made_of(made: exp.Alias, name: str, rows: str) -> bool:
    """Whether a column is made of the one of that name of the rows."""
    columns = made.this.find_all(exp.Column)
    return any(each.name.lower() == name and each.table.lower() in ("", rows) for each in columns)


def _sql(node: exp.Expr) -> str:
    text = " ".join(node.sql(dialect="duckdb", comments=False).split())
    return text if len(text) <= 60 else f"{text[:60]}..."


def _issue(node: exp.Expr, found: str, expected: str, suggestion: str | None = None) -> Issue:
    line = next((part.meta["line"] for part in node.walk() if "line" in part.meta), 0)
    return Issue((), found, expected, suggestion, line)
