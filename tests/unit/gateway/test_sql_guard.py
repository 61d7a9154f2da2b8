"""Only a query over the tables of datasets gets through."""

import pytest

from headrace.sql_guard import RefusedQueryError, guarded, guarded_condition

DOMAINS = {"nyc"}


@pytest.mark.parametrize(
    "sql",
    [
        "select 1",
        "select count() from nyc.flights",
        "from nyc.flights select carrier",
        "select carrier, quantile(0.5)(dep_delay) from nyc.flights group by carrier with totals order by 2 desc limit 3",
        "with late as (select * from nyc.flights where dep_delay > 60) select count() from late",
        "select x.a from (select 1 as a) as x union all select 2",
        "with t as (select 1) select * from t union all select * from t union all select * from (select * from t)",
        "with a as (select 1 as x), b as (select * from a) select * from b where x in (select x from a)",
        "with recursive t as (select 1 as n union all select n + 1 from t where n < 5) select * from t",
        "with t as (select 1 as x) select * from (with u as (select * from t) select * from u) as q, t",
        "select 1 union all with t as (select 2) select * from t",
        "with t as (with t as (select 1) select * from t) select * from t",
        "select * from nyc.flights f final any left join nyc.airports a on f.dest = a.faa",
        "select * from nyc.flights array join _flags as flag",
        "select * from nyc.flights where dest in (select faa from nyc.airports) and carrier in ('AA', 'UA');",
        "select 'system.users', \"_flags\", `carrier` from nyc.flights -- a comment",
        "select arrayMap(x -> x + 1, [1, 2, 3]), (1, 'a').1, map('a', 1)['a'], x::Decimal(10, 2) from nyc.t",
        "select * from nyc.flights__quarantine",
        "select 1 intersect select 1 except select 2",
    ],
)
def test_queries_over_datasets_pass(sql: str) -> None:
    assert guarded(sql, DOMAINS, 11).endswith(" LIMIT 11") or "LIMIT 3" in guarded(sql, DOMAINS, 11)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("", "found 0"),
        ("select 1; select 2", "found 2"),
        ("selec 1", "cannot be read"),
        ("select from where", "cannot be read"),
        ("drop table nyc.flights", "only SELECT"),
        ("insert into nyc.flights select * from nyc.flights", "only SELECT"),
        ("alter table nyc.flights delete where 1", "only SELECT"),
        ("create table nyc.t as select 1", "only SELECT"),
        ("set readonly = 0", "only SELECT"),
        ("system flush logs", "only SELECT"),
        ("show tables", "only SELECT"),
        ("explain select 1", "only SELECT"),
        ("describe nyc.flights", "only SELECT"),
        ("select * from system.users", "not a dataset's table"),
        ("select * from nyc.flights, system.one", "not a dataset's table"),
        ("select (select count() from system.tables)", "not a dataset's table"),
        ("with s as (select * from system.tables) select * from s", "not a dataset's table"),
        ("select 1 union all select count() from system.tables", "not a dataset's table"),
        ("select * from `system`.`tables`", "not a dataset's table"),
        ("select * from headrace.fences", "not a dataset's table"),
        ("select * from information_schema.tables", "not a dataset's table"),
        ("select * from flights", "write domain.name"),
        ("select * from a.nyc.flights", "too many parts"),
        ("select * from numbers(10)", "table functions"),
        ("select * from file('/etc/passwd')", "table functions"),
        ("select * from url('http://localhost', CSV, 'a String')", "table functions"),
        ("select * from remote('other', nyc.flights)", "table functions"),
        ("select * from merge('system', '.*')", "table functions"),
        ("select * from nyc.flights where 1 in system.one", "IN takes"),
        ("select * from nyc.flights where carrier not in system.one", "IN takes"),
        ("select * from nyc.flights where 1 in (system.one)", "IN takes"),
        ("select * from nyc.flights where 1 global not in ((system.one))", "IN takes"),
        ("select * from nyc.flights where 1 in (((system.one) as one))", "IN takes"),
        ("select notIn(0, system.one)", "notIn"),
        ("select globalNotNullInIgnoreSet(0, system.one)", "IgnoreSet"),
        ("select file('/etc/passwd')", "file"),
        ("select `file`('/etc/passwd')", "file"),
        ("select x'4141'", "cannot be read|literal"),
        ("select FILE('/etc/passwd')", "FILE"),
        ("select joinGet('nyc.j', 'a', 1)", "joinGet"),
        ("select dictGet('d', 'a', 1)", "dictGet"),
        ("select sleep(3)", "sleep"),
        ("select * from nyc.flights settings max_threads = 1", "SETTINGS"),
        ("select * from (select 1 settings max_threads = 1)", "SETTINGS"),
        ("select 1 format JSON", "FORMAT"),
        ("select 1 into outfile 'x'", "cannot be read"),
        ("select {x:String}", "parameters"),
        ("select 1 in {x:Identifier}", "parameters"),
        ("select * from {t:Identifier}", "table functions|parameters"),
        ("select * from nyc.flights as f, lateral (select * from t) as q", "rows cannot come from"),
        ("(" * 3000 + "select 1" + ")" * 3000, "cannot be read"),
    ],
)
def test_everything_else_is_refused_with_a_reason(sql: str, why: str) -> None:
    with pytest.raises(RefusedQueryError, match=why):
        guarded(sql, DOMAINS, 10)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from t where 1 in (with t as (select 1) select * from t)",
        "select * from (with t as (select 1) select * from t) as q, t",
        "select * from t join (with t as (select 1) select * from t) as q on 1",
        "with a as (with t as (select 1) select * from t) select * from t",
        "with a as (with t as (select 1) select * from t), b as (select * from t) select * from b",
        "select * from t union all (with t as (select 1) select * from t)",
        "select * from t union all with t as (select 1) select * from t",
        "select 1 union all with t as (select 2) select * from t union all select * from t",
        "select 1 union all select 2 union all with t as (select 2) select * from t union all select 1 union all select * from t",
        "with a as (select 1) select * from (with t as (select 2) select * from a) union all select * from t",
        "with t as (select * from t) select * from t",
        "with recursive t as (select * from t) select * from t",
        "with recursive t as (select x from (select * from t)) select * from t",
        "with recursive t as (select * from t union all select 1) select * from t",
        "with recursive a as (select 1 union all select * from t), b as (with t as (select 1) select * from t) select * from b",
        "with 1 as t select * from t",
        "with (select 1) as t select * from t",
        "with t as (select 1) select * from (with 2 as t select * from t)",
        "with T as (select 1) select * from t",
        "select (with t as (select 1) select count() from t), (select count() from t)",
        "select arrayMap(x -> (select count() from t), [1]) from nyc.flights where 1 in (with t as (select 1) select * from t)",
    ],
)
def test_a_name_is_known_only_where_the_engine_knows_it(sql: str) -> None:
    """What is named elsewhere is a table here, which the engine would read: all of these gave its rows, or would have."""
    with pytest.raises(RefusedQueryError, match="t is not a dataset"):
        guarded(sql, DOMAINS, 10)


@pytest.mark.parametrize(
    ("sql", "sent"),
    [
        ("select /* a */ 1 -- b", "select 1 LIMIT 10"),
        ("select 1 # b", "select 1 LIMIT 10"),
        ("select/**/1;", "select 1 LIMIT 10"),
        ("select 'it''s', 'a\\'b', $$it's$$", "select 'it\\'s', 'a\\'b', 'it\\'s' LIMIT 10"),
        ('select "a b", `c``d`', "select `a b`, `c\\`d` LIMIT 10"),
        ("select median(x), a.1, b [1] from nyc.t", "select median(x), a.1, b [1] from nyc.t LIMIT 10"),
        ("select a from nyc.t limit 5 offset 2", "SELECT * FROM (select a from nyc.t limit 5 offset 2) LIMIT 10"),
        ("select 1 union all select 2", "SELECT * FROM (select 1 union all select 2) LIMIT 10"),
    ],
)
def test_what_is_sent_is_what_was_written_without_room_to_hide_in(sql: str, sent: str) -> None:
    assert guarded(sql, DOMAINS, 10) == sent


@pytest.mark.parametrize(
    ("condition", "understood"),
    [
        ("flight = 1545 AND carrier = 'UA'", "(flight = 1545 AND carrier = 'UA')"),
        ("a = 1 OR _partition = 0 -- all of them", "(a = 1 OR _partition = 0)"),
        ("dest IN ('SJU', 'BQN')", "(dest IN ('SJU', 'BQN'))"),
        ("name = 'it''s' or \"_flags\" = []", "(name = 'it\\'s' or `_flags` = [])"),
        ("has(_flags, 'late')", "(has(_flags, 'late'))"),
    ],
)
def test_a_condition_stays_one(condition: str, understood: str) -> None:
    assert guarded_condition(condition) == understood


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("", "not one condition|cannot be read"),
        ("*", "without a query"),
        ("a, b", "not one condition"),
        ("a = 1 AS b", "not one condition"),
        ("DISTINCT a", "not one condition"),
        ("1 FROM system.users", "not one condition"),
        ("1 WHERE 1", "not one condition"),
        ("a = 1 LIMIT 5", "not one condition"),
        ("a = 1 ORDER BY a", "not one condition"),
        ("a = 1 GROUP BY a", "not one condition"),
        ("a = 1 SETTINGS max_threads = 1", "not one condition"),
        ("a = 1 FORMAT JSON", "not one condition"),
        ("a = 1 INTO OUTFILE 'x'", "cannot be read"),
        ("a = 1; DROP TABLE nyc.flights", "found 2"),
        ("1) UNION ALL SELECT (2", "cannot be read"),
        ("a = 1)", "cannot be read"),
        ("(a = 1", "cannot be read"),
        ("a = 1 EXCEPT SELECT 1", "not one condition"),
        ("a = (SELECT 1)", "without a query"),
        ("a IN (SELECT name FROM system.users)", "without a query"),
        ("EXISTS (SELECT 1)", "without a query"),
        ("a IN system.one", "IN takes"),
        ("sleep(3) = 0", "sleep"),
        ("file('/etc/passwd') = ''", "file"),
        ("a = {x:String}", "parameters"),
    ],
)
def test_anything_but_one_condition_is_refused(condition: str, why: str) -> None:
    with pytest.raises(RefusedQueryError, match=why):
        guarded_condition(condition)
