"""What a query reads, and how it is rewritten."""

import pytest

from headrace.access.policy import Sight
from headrace.sql_guard import RefusedQueryError
from services.gateway.core.readable import Readable, reading, rewritten

PART = Readable(Sight(rows=("(tenant = 'a')",)), beside=False, columns=("id", "tenant"))
WHOLE = Readable(Sight(), beside=True)
STAND_IN = (
    "(SELECT `id`, `tenant` FROM (SELECT * FROM `nyc`.`flights` WHERE ifNull((tenant = 'a'), 0)) "
    "LIMIT 18446744073709551615)"
)


def sent(sql: str, **readable: Readable) -> str:
    return rewritten(reading(sql), {f"nyc.{name}": each for name, each in readable.items()}, {"nyc"}, 5)


@pytest.mark.parametrize(
    ("sql", "rewritten_as"),
    [
        ("select * from nyc.flights", "select * from <T> AS `flights` LIMIT 5"),
        ("select * from nyc.flights as f", "select * from <T> as f LIMIT 5"),
        ('select * from nyc . "flights" f', "select * from <T> f LIMIT 5"),
        ("select nyc.flights.id from nyc.flights", "select flights.id from <T> AS `flights` LIMIT 5"),
        ("select `nyc`.flights.* from nyc.flights", "select flights.* from <T> AS `flights` LIMIT 5"),
        ("select 'nyc.flights' from nyc.flights", "select 'nyc.flights' from <T> AS `flights` LIMIT 5"),
        ("from nyc.flights select id", "from <T> AS `flights` select id LIMIT 5"),
        ("select * from nyc.flights f join nyc.flights g using id", "select * from <T> f join <T> g using id LIMIT 5"),
        (
            "with nyc as (select id from nyc.flights) select * from nyc",
            "with nyc as (select id from <T> AS `flights`) select * from nyc LIMIT 5",
        ),
        (
            "select 1 where 1 in (select id from nyc.flights)",
            "select 1 where 1 in (select id from <T> AS `flights`) LIMIT 5",
        ),
    ],
)
def test_a_table_gives_way_to_what_is_seen_of_it_wherever_it_stands(sql: str, rewritten_as: str) -> None:
    assert sent(sql, flights=PART) == rewritten_as.replace("<T>", STAND_IN)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from nyc.flights final where id = 1",
        "select nyc.flights.id from nyc.flights",
        "select * from nyc.flights__quarantine",
        "select * from nyc.flights__g12 prewhere id = 1",
    ],
)
def test_a_dataset_that_is_seen_whole_stays_as_it_was_written_and_so_do_the_tables_beside_it(sql: str) -> None:
    assert sent(sql, flights=WHOLE) == f"{sql} LIMIT 5"


def test_what_is_not_there_and_what_may_not_be_queried_are_told_of_in_the_same_words() -> None:
    told = []
    for sql, beside in (("select * from nyc.flights", "nyc.flights"), ("select * from nyc.nothing", "nyc.nothing")):
        with pytest.raises(RefusedQueryError) as refused:
            sent(sql)
        told.append(str(refused.value).replace(beside, "X"))
    assert told[0] == told[1]


def test_a_row_filter_that_does_not_fit_the_table_shows_nothing() -> None:
    """Else a name that the query gives would be taken for its column."""
    without = Readable(PART.sight, beside=False, columns=("id",))
    with pytest.raises(RefusedQueryError, match=r"nyc\.flights cannot be read"):
        sent("with 'a' as tenant select * from nyc.flights", flights=without)


def test_every_dataset_that_is_read_is_known_once() -> None:
    sql = "select * from nyc.flights, (select * from nyc.planes union all select * from nyc.flights__g2) as q"
    assert reading(sql).datasets == ("nyc.flights", "nyc.planes")
