"""Which SQL is accepted, what it becomes, and how dropped rows are traced to the condition that dropped them."""

import re

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contract import CompiledTransform, compile_transform, examine_expression
from headrace.contract.functions import catalogue
from headrace.contract.rowwise import STEADY
from headrace.contract.sql import examine_condition
from tests.unit.contract.documents import ORDERS, contract, problems, with_sql

REFUSED = {
    "SELECT a, count(*) AS n FROM input GROUP BY a": "GROUP BY",
    "SELECT max(a) AS a FROM input": "the aggregate MAX(a)",
    "SELECT quantile_cont(a, 0.5) AS a FROM input": "the aggregate",
    "SELECT geomean(a) AS a FROM input": "the aggregate",
    "SELECT a, row_number() OVER () AS n FROM input": "OVER",
    "SELECT DISTINCT a FROM input": "DISTINCT",
    "SELECT a FROM input ORDER BY a": "ORDER BY",
    "SELECT a FROM input LIMIT 10": "LIMIT",
    "SELECT a FROM input QUALIFY row_number() OVER () = 1": "QUALIFY",
    "SELECT a FROM input USING SAMPLE 3": "a sample",
    "SELECT a FROM input TABLESAMPLE 10%": "a sample",
    "SELECT a FROM input UNION ALL SELECT b FROM input": "UNION",
    "SELECT a FROM input WHERE a IN (SELECT b FROM x)": "a subquery",
    "SELECT (SELECT 1) AS a FROM input": "a subquery",
    "SELECT a FROM (SELECT a FROM input) AS t": "FROM (SELECT",
    "SELECT a FROM input WHERE EXISTS (SELECT 1 FROM input)": "a subquery",
    "SELECT now() AS a FROM input": "now()",
    "SELECT current_date AS a FROM input": "current_date()",
    "SELECT today() AS a FROM input": "current_date()",
    "SELECT random() AS a FROM input": "random()",
    "SELECT uuid() AS a FROM input": "uuid()",
    "SELECT age(a) AS a FROM input": "age() of one timestamp",
    "SELECT nextval('s') AS a FROM input": "nextval()",
    "SELECT getvariable('s') AS a FROM input": "getvariable()",
    "SELECT uper(a) AS a FROM input": "the unknown function uper()",
    "SELECT keyed_hash(a) AS a FROM input": "keyed_hash() without a key",
    "SELECT Tokenise(a) AS a FROM input": "tokenise() without a key",
    "SELECT mask(a) AS a FROM input": "MASK(a)",
    "SELECT mask(a, first := 1, last := 2) AS a FROM input": "MASK(a, first := 1, last := 2)",
    "SELECT tokenize(a) AS a FROM input": "the unknown function tokenize()",
    "SELECT a FROM read_csv('x.csv')": "the table function",
    "SELECT a FROM read_parquet('x')": "the table function",
    "SELECT a FROM glob('*')": "the table function",
    "SELECT a FROM 'x.csv'": "the table",
    "SELECT a FROM information_schema.tables": "the table",
    "SELECT a FROM inptu": "the table inptu",
    "SELECT 1 AS a": "a SELECT without FROM",
    "SELECT a FROM ref('shop.products')": "FROM ref('shop.products')",
    "SELECT i.a FROM input AS i, other": "a join with other",
    "SELECT i.a FROM input AS i JOIN input AS j ON i.a = j.a": "a join with input",
    "SELECT i.a FROM input AS i RIGHT JOIN ref('shop.products') AS p ON p.a = i.a": "RIGHT JOIN",
    "SELECT i.a FROM input AS i SEMI JOIN ref('shop.products') AS p ON p.a = i.a": "SEMI JOIN",
    "SELECT i.a FROM input AS i CROSS JOIN ref('shop.products') AS p": "CROSS JOIN",
    "SELECT i.a FROM input AS i JOIN ref('Products') AS p ON p.a = i.a": "ref('Products')",
    "SELECT * FROM input AS i JOIN ref('shop.products') AS p ON p.a = i.a": "* with a join",
    "SELECT i.a, p.* FROM input AS i JOIN ref('shop.products') AS p ON p.a = i.a": "p.*",
    "SELECT a + 1 FROM input": "without a name",
    "SELECT a, b AS a FROM input": "two columns called 'a'",
    "SELECT *, upper(a) AS a FROM input": "two columns called 'a': one of the *",
    "SELECT i.*, i.b || A AS a FROM input AS i": "two columns called 'a': one of the *",
    "WITH x AS (SELECT *, a + 1 AS A FROM input) SELECT b FROM x": "two columns called 'A': one of the *",
    'SELECT a AS "b c" FROM input': "a column called 'b c'",
    "SELECT _offset FROM input": "the column '_offset'",
    "SELECT a AS _a FROM input": "the column '_a'",
    "SELECT columns('a.*') AS a FROM input": "COLUMNS()",
    "SELECT coalesce(*columns('a|b')) AS a FROM input": "COLUMNS()",
    "SELECT #1 AS a FROM input": "a column by its place",
    "SELECT a FROM input WHERE #2 > 1": "a column by its place",
    "SELECT to_json(input) AS a FROM input": "the row input as a value",
    "WITH s AS (SELECT a FROM input) SELECT to_json(s) AS a FROM s": "the row s as a value",
    "SELECT row(i.*) AS a FROM input AS i": "a row as a value",
    "SELECT struct_pack(*) AS a FROM input": "a row as a value",
    "SELECT $1 AS a FROM input": "the parameter",
    "WITH RECURSIVE x AS (SELECT a FROM input) SELECT a FROM x": "WITH RECURSIVE",
    "WITH x AS (SELECT a FROM input) SELECT a FROM input": "the CTE 'x'",
    "WITH x AS (SELECT a FROM input UNION SELECT b FROM input) SELECT a FROM x": "UNION in a CTE",
    "WITH x AS (SELECT sum(a) AS a FROM input) SELECT a FROM x": "the aggregate",
    "WITH input AS (SELECT a FROM input) SELECT a FROM input": "a CTE called 'input'",
    "SELECT a FROM input; SELECT b FROM input": "2 statements",
    "-- nothing": "no statement",
    "DROP TABLE input": "a DROP statement",
    "CREATE TABLE x AS SELECT 1": "a CREATE statement",
    "INSERT INTO x SELECT 1": "an INSERT statement",
    "PRAGMA database_size": "PRAGMA",
    "ATTACH 'x.db'": "ATTACH",
    "COPY input TO 'x'": "COPY",
    "SET memory_limit = '1TB'": "SET",
    "INSTALL httpfs": "INSTALL",
    "SELECT (a FROM input": "cannot be read",
    "SELECT " + "(" * 2000 + "a" + ")" * 2000 + " AS a FROM input": "nested too deeply",
}


@pytest.mark.parametrize(("sql", "found"), REFUSED.items(), ids=[sql[:50] for sql in REFUSED])
def test_sql_that_is_not_row_wise_is_refused_by_name_with_an_alternative(sql: str, found: str) -> None:
    refusals = [p for p in problems(with_sql(sql)) if p.path == "transform.sql"]
    assert any(found in p.found for p in refusals), refusals
    assert all(p.expected for p in refusals)


ALTERNATIVES = {
    "SELECT a, count(*) AS n FROM input GROUP BY a": ["aggregate in a query over the published table"],
    "SELECT a FROM input GROUP BY a HAVING count(*) > 1": ["aggregate in a query over the published table"],
    "SELECT max(a) AS a FROM input": ["list_max()", "a query over the published table"],
    "SELECT row_number() OVER (PARTITION BY a) AS n FROM input": ["load.mode upsert", "the published table"],
    "SELECT lag(a) AS n FROM input": ["load.mode upsert", "the published table"],
    "SELECT a FROM input QUALIFY row_number() OVER () = 1": ["a WHERE", "load.mode upsert"],
    "SELECT a, sum(b) OVER w AS n FROM input WINDOW w AS (ORDER BY a)": ["the published table"],
    "SELECT DISTINCT a FROM input": ["load.mode upsert"],
    "SELECT a FROM input ORDER BY a": ["load.order_by"],
    "SELECT a FROM input LIMIT 1": ["a WHERE"],
    "SELECT a FROM input USING SAMPLE 3": ["hash(id) % 100"],
    "SELECT a FROM input UNION ALL SELECT b FROM input": ["give each source its own dataset"],
    "SELECT a FROM input WHERE a IN (SELECT b FROM x)": ["ref('domain.name')", "a references check"],
    "SELECT i.a FROM input AS i CROSS JOIN ref('shop.products') AS p": ["LEFT JOIN"],
    "SELECT a FROM read_csv('x.csv')": ["a source of type file", "ref('domain.name')"],
    "SELECT now() AS a FROM input": ["a time that the row has", "`_ingested_at`"],
    "SELECT CURRENT_TIMESTAMP AS a FROM input": ["a time that the row has", "`_ingested_at`"],
    "SELECT current_date AS a FROM input": ["a time that the row has", "`_ingested_at`"],
    "SELECT today() AS a FROM input": ["a time that the row has", "`_ingested_at`"],
    "SELECT age(a) AS a FROM input": ["age(later, earlier)"],
    "SELECT random() AS a FROM input": ["hash(id) % 100"],
    "SELECT uuid() AS a FROM input": ["md5(column)::UUID"],
    "SELECT gen_random_uuid() AS a FROM input": ["md5(column)::UUID"],
    "SELECT nextval('s') AS a FROM input": ["the key of the row"],
    "SELECT current_user AS a FROM input": ["a constant"],
    "INSERT INTO x SELECT 1": ["load.mode"],
}


@pytest.mark.parametrize(("sql", "wanted"), ALTERNATIVES.items(), ids=[sql[:50] for sql in ALTERNATIVES])
def test_a_refusal_names_what_to_do_instead(sql: str, wanted: list[str]) -> None:
    said = " | ".join(p.expected for p in problems(with_sql(sql)))
    assert [each for each in wanted if each not in said] == [], said


def test_every_function_that_is_not_steady_is_refused_with_an_alternative() -> None:
    """Whatever DuckDB marks as such; none of those that are named is unknown to it."""
    unstable = catalogue().unstable
    assert set(STEADY) <= unstable
    for name in unstable:
        said = [issue.expected for issue in examine_condition(f"{name}()", None)]
        assert any("so that a replay gives the same rows" in expected for expected in said), (name, said)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM input",
        "FROM input",
        "SELECT * EXCLUDE (a), upper(b) AS c FROM input WHERE a > 1",
        "SELECT * REPLACE (a + 1 AS a) FROM input",
        "SELECT i.*, p.name FROM input AS i LEFT JOIN ref('shop.products') AS p ON p.id = i.id",
        "SELECT input.id, products.name FROM input JOIN ref('shop.products') ON products.id = input.id",
        "WITH x AS (SELECT *, try_cast(a AS INT) AS n FROM input) SELECT n FROM x WHERE n > 0;",
        "SELECT unnest(items) AS item FROM input",
        "SELECT list_sum(list_transform(items, x -> x + 1)) AS s FROM input",
        "SELECT CASE WHEN a THEN b ELSE error('no') END AS c FROM input",
        "SELECT age(a, b) AS c, strptime(d, '%Y') AS e, {'x': 1} AS f, [1, 2] AS g FROM input",
        "SELECT p.a.b AS ab FROM input AS p",
    ],
)
def test_row_wise_sql_is_accepted(sql: str) -> None:
    assert problems(with_sql(sql)) == []


def test_what_hashes_is_there_where_the_file_names_a_key() -> None:
    keyed = with_sql("SELECT keyed_hash(a) AS a, tokenise(b) AS b, mask({'c': c}, 0, 4) AS c FROM input").replace(
        "transform:\n", "transform:\n  hash_key: secret://shop.personal\n"
    )
    assert problems(keyed) == []
    assert re.findall(r"[A-Z_]+\(\w\)", compile_transform(contract(keyed)).sql) == ["KEYED_HASH(a)", "TOKENISE(b)"]
    check = "\nchecks:\n  - {check: expression, sql: keyed_hash(b) <> b}\n"
    assert problems(keyed + check) == []
    [problem] = problems(with_sql("SELECT mask(a, 0, 4) AS a, b FROM input") + check)
    assert (problem.path, problem.found) == ("checks[0].sql", "keyed_hash() without a key")


def test_a_misspelt_function_of_ours_is_recognised() -> None:
    [problem] = problems(with_sql("SELECT tokenize(a) AS a FROM input"))
    assert problem.suggestion == "tokenise"


@pytest.mark.parametrize("text", ["mask(a, 0, 4)", "keyed_hash(a)", "tokenise(a)"])
def test_an_edit_has_none_of_the_functions_of_a_transform(text: str) -> None:
    [issue] = examine_expression(text)
    assert issue.expected == "a function of DuckDB; this one is there in transform.sql and in checks"


@pytest.mark.parametrize(
    "text",
    [
        "unnest(tags)", "upper(unnest(tags))", "regexp_split_to_table(a, ',')", "generate_subscripts(tags, 1)",
        "id = ANY(SELECT 1)", "id IN (SELECT 1)", "(FROM input)", "id IN (VALUES (1))", "EXISTS(SELECT 1)", "ARRAY(SELECT 1)",
    ],
)  # fmt: skip
def test_an_expression_that_looks_beyond_its_row_is_refused(text: str) -> None:
    assert examine_expression(text)
    assert examine_condition(text, None)


@pytest.mark.parametrize(
    "text", ["upper(a)", "id = ANY([1, 2])", "id IN (1, 2)", "list_filter(tags, lambda x: x > 1)", "[x FOR x IN tags]"]
)
def test_an_expression_over_its_row_is_accepted(text: str) -> None:
    assert not examine_expression(text)
    assert not examine_condition(text, None)


@pytest.mark.parametrize(
    "text", ["nosuch > 1", "nosuch.abs() > 1", "(nosuch + 1).abs() > 1", "[x FOR x IN nosuch] = []"]
)
def test_a_check_of_a_column_that_is_not_there_is_refused(text: str) -> None:
    [issue] = examine_condition(text, ["a", "tags"])
    assert issue.found == "'nosuch'"


def test_every_refusal_of_one_query_is_reported_on_its_line() -> None:
    refusals = problems(with_sql("SELECT\n  count(*) AS n,\n  now() AS t\nFROM input\nLIMIT 1"))
    first = next(i for i, line in enumerate(with_sql("SELECT").splitlines(), start=1) if "SELECT" in line)
    assert [(p.line - first, p.found.split()[-1]) for p in refusals if "now" in p.found or "LIMIT" in p.found] == [
        (2, "time"),
        (4, "LIMIT"),
    ]


def test_no_sql_passes_every_row() -> None:
    without = ORDERS.partition("transform:")[0]
    compiled = compile_transform(contract(without))
    assert compiled == CompiledTransform("SELECT * FROM input", (), None, (), None)


def test_the_row_number_comes_along_once_and_references_become_tables() -> None:
    compiled = compiled_of(
        "WITH kept AS (SELECT * FROM input WHERE a > 0) "
        "SELECT k.a, p.name FROM kept AS k JOIN ref('shop.products') AS p ON p.a = k.a WHERE p.name <> 'x' AND k.a < 9"
    )
    with tables({1: 1, 2: 0, 3: 2, 4: 7, 5: 10}) as connection:
        table = connection.sql(compiled.sql).to_arrow_table()
    assert table.column_names == ["__row", "a", "name"]
    assert table.to_pylist() == [{"__row": 1, "a": 1, "name": "one"}]
    assert compiled.references == ("shop.products",)
    assert compiled.columns == ("a", "name")


def test_a_dropped_row_is_traced_to_the_first_condition_that_is_not_true() -> None:
    compiled = compiled_of(
        "WITH kept AS (SELECT * FROM input WHERE a > 0) "
        "SELECT k.a, p.name FROM kept AS k JOIN ref('shop.products') AS p ON p.a = k.a "
        "WHERE p.name IS NOT NULL AND (k.a < 9 OR k.a IS NULL)"
    )
    assert compiled.rules == ("a > 0", "p.name IS NOT NULL", "k.a < 9 OR k.a IS NULL")
    rows: dict[int, int | None] = {1: 1, 2: 0, 3: None, 4: 2, 5: 7, 6: 10}
    with tables(rows) as connection:
        assert fates(connection, compiled) == {1: None, 2: 0, 3: 0, 4: 1, 5: 3, 6: 2}


def test_a_list_without_items_is_a_row_that_no_condition_dropped() -> None:
    compiled = compiled_of("SELECT unnest(CASE WHEN a > 0 THEN [a, a] ELSE [] END) AS a FROM input")
    with tables({1: 1, 2: 0}) as connection:
        assert fates(connection, compiled) == {1: None, 2: 0}
    assert compiled.rules == ()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-3, 12)), max_size=12), st.sampled_from(["", "LEFT "]), st.booleans())
def test_every_row_comes_out_or_is_traced_and_none_does_both(
    values: list[int | None], side: str, chained: bool
) -> None:
    source = "kept" if chained else "input"
    chain = "WITH kept AS (SELECT * FROM input WHERE a % 2 = 0 AND a <> 4) " if chained else ""
    compiled = compiled_of(
        f"{chain}SELECT i.a, p.name FROM {source} AS i {side}JOIN ref('shop.products') AS p ON p.a = i.a "
        "WHERE i.a > 0 AND coalesce(p.name, '') <> 'three'"
    )
    with tables(dict(enumerate(values))) as connection:
        fate = fates(connection, compiled)
    assert fate.keys() == dict(enumerate(values)).keys()
    assert all(rule is None or 0 <= rule <= len(compiled.rules) for rule in fate.values())
    for row, rule in fate.items():
        if rule is not None and rule < len(compiled.rules) and not chained and values[row] is not None:
            broken = (values[row] or 0) <= 0 if rule == 0 else values[row] == 3
            assert broken


def compiled_of(sql: str) -> CompiledTransform:
    return compile_transform(contract(with_sql(sql)))


def tables(rows: dict[int, int | None]) -> duckdb.DuckDBPyConnection:
    """A database with `input` and the reference data of the tests."""
    connection = duckdb.connect(":memory:")
    connection.execute("CREATE TABLE input (__row BIGINT, a INT)")
    for row, value in rows.items():
        connection.execute("INSERT INTO input VALUES (?, ?)", [row, value])
    connection.execute(
        "CREATE TABLE ref_shop__products AS FROM (VALUES (1, 'one'), (2, NULL), (3, 'three'), (10, 'ten')) AS t(a, name)"
    )
    return connection


def fates(connection: duckdb.DuckDBPyConnection, compiled: CompiledTransform) -> dict[int, int | None]:
    """Row -> the rule that dropped it, None for a row that comes out."""
    out = {row for (row,) in connection.execute(f"SELECT DISTINCT __row FROM ({compiled.sql})").fetchall()}
    fate: dict[int, int | None] = dict.fromkeys(out)
    connection.execute("DELETE FROM input WHERE list_contains(?, __row)", [sorted(out)])
    if compiled.attribution_sql is not None:
        traced = connection.execute(f"SELECT __row, __rule FROM ({compiled.attribution_sql})").fetchall()
        assert not out & {row for row, _ in traced}
        assert len(traced) == len({row for row, _ in traced})
        fate.update(traced)
    return fate
