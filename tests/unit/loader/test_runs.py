"""Which run may show, what shows of it, and what may go."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from headrace.contract import Contract
from headrace.stream.runs import Range, Run
from services.loader.core.runs import Found, outdated, portions, shown, verdict, within
from services.loader.core.table import Table, create_table, create_view, published
from services.loader.core.types import Type

RUN = Run(
    "shop.products",
    2,
    "ended",
    datetime(2026, 1, 2, tzinfo=UTC),
    starts=(10, 5, 7),
    ends=(20, 9, 7),
    rows=14,
    rejected=1,
)
WHOLE = Found(rows=14, different=14, quarantined=0, accounted=14, oldest=1, latest=1)


def why(found: Found, run: Run = RUN, *, may_drop: bool = False, may_be_empty: bool = False) -> str:
    return verdict(run, found, may_drop=may_drop, may_be_empty=may_be_empty).why


def test_a_run_is_whole_when_every_row_is_accounted_for() -> None:
    assert why(WHOLE) == ""
    assert why(replace(WHOLE, rows=12, different=12, quarantined=2)) == ""
    assert why(replace(WHOLE, rows=20, different=20)) == ""  # some became several


def test_a_row_that_is_nowhere_refuses_the_run() -> None:
    lost = Found(13, 13, 0, 13, 1, 1)
    assert "13 are accounted for" in why(lost)
    assert why(lost, may_drop=True) == ""


@pytest.mark.parametrize("may_drop", [True, False])
def test_what_no_sql_explains_refuses_the_run(may_drop: bool) -> None:
    assert "twice" in why(replace(WHOLE, rows=15), may_drop=may_drop)
    assert "accounted" in why(replace(WHOLE, rows=15, different=15, accounted=15), may_drop=may_drop)


def test_the_sources_own_count_is_compared_with_what_was_read() -> None:
    assert why(WHOLE, replace(RUN, source_rows=15)) == ""
    assert "the source counts 16 rows, 15 were read" in why(WHOLE, replace(RUN, source_rows=16))


def test_an_empty_run_is_refused_unless_it_may_be() -> None:
    empty = replace(RUN, rows=0, rejected=0)
    assert "may_be_empty" in why(Found(), empty)
    assert why(Found(), empty, may_be_empty=True) == ""
    assert "may_be_empty" in why(Found(quarantined=14, accounted=14))


def test_a_run_of_two_versions_was_overtaken() -> None:
    judged = verdict(RUN, replace(WHOLE, latest=2), may_drop=True, may_be_empty=True)
    assert judged.overtaken
    assert "versions 1 to 2" in judged.why


def test_portions_add_up() -> None:
    parts = list(portions([Range(0, 5, 4_000_010), Range(1, 0, 3)]))
    assert parts == [
        Range(0, 5, 2_000_005),
        Range(0, 2_000_005, 4_000_005),
        Range(0, 4_000_005, 4_000_010),
        Range(1, 0, 3),
    ]
    assert Found(1, 1, 2, 3, 4, 4) + Found(10, 10, 20, 30, 3, 5) == Found(11, 11, 22, 33, 3, 5)
    assert Found() + WHOLE == WHOLE + Found() == WHOLE


def test_the_view_has_the_rows_of_the_run_and_of_no_other() -> None:
    assert shown(RUN) == (
        "(_partition = 0 AND _offset >= 10 AND _offset < 20) OR (_partition = 1 AND _offset >= 5 AND _offset < 9)"
    )
    assert shown(None) == shown(replace(RUN, ends=RUN.starts)) == within(()) == "false"


def test_what_may_go_is_in_front_of_the_run_that_shows_and_not_of_the_one_before() -> None:
    before = "(_partition = 0 AND _offset < 10) OR (_partition = 1 AND _offset < 5) OR (_partition = 2 AND _offset < 7)"
    assert outdated(RUN, None) == before
    previous = replace(RUN, starts=(3, 0, 0), ends=(6, 0, 0))
    assert outdated(RUN, previous) == f"({before}) AND NOT ((_partition = 0 AND _offset >= 3 AND _offset < 6))"


def table(mode: str) -> Table:
    document = {
        "dataset": "shop.products",
        "description": "d",
        "owner": {"team": "t"},
        "source": {"type": "file", "path": "p.jsonl"},
        "key": ["id"],
        "load": {"mode": mode},
    }
    return published(Contract.model_validate(document), 1)


HELD = {
    name: Type("Int64") for name in ("id", "_partition", "_offset", "_load_partition", "_load_offset", "_row_version")
}


def test_only_a_table_that_is_loaded_in_runs_is_indexed_by_them() -> None:
    assert "INDEX raw_position (_partition, _offset)" in create_table(table("replace"), HELD)
    assert "raw_position" not in create_table(table("upsert"), HELD)
    assert "ReplacingMergeTree" not in create_table(table("replace"), HELD)


def test_the_statement_of_a_view() -> None:
    made = create_view(table("replace"), HELD, "false")
    assert made == (
        "CREATE VIEW `shop`.`products` (`id` Int64, `_partition` Int64 COMMENT 'Partition of the raw record.', "
        "`_offset` Int64 COMMENT 'Offset of the raw record: with _partition, where the row came from.') AS "
        "SELECT `id`, `_partition`, `_offset` FROM `shop`.`products__g1` WHERE false COMMENT 'd'"
    )
    assert "WHERE" not in create_view(table("upsert"), HELD)
