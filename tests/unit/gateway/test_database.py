"""The migrations make the tables the code works with, and the books add up in them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete

from services.gateway.adapters.control_fold import Overtaken, Slot, move_offsets
from services.gateway.adapters.database import upgrade
from services.gateway.adapters.dataset_store import DatasetStore, fold_datasets
from services.gateway.adapters.ledger_store import LedgerStore, fold_ledger, forget_activity
from services.gateway.adapters.tables import FOLD_OFFSETS, METADATA
from services.gateway.core.conservation import STAGES, balance
from services.gateway.core.datasets import DatasetVersion, Generation
from services.gateway.core.folding import Sums, added
from tests.unit.gateway.books import AT, entry

LEDGER = Slot("_headrace.ledger", 0)


def test_the_migrations_make_the_tables_of_the_code_and_can_run_again(engine: Engine) -> None:
    upgrade(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_sqlite_lets_readers_go_on_while_the_fold_writes(engine: Engine) -> None:
    with engine.begin() as writer, engine.connect() as reader:
        fold_ledger(writer, [entry("ingest", {(0, 0)})])
        assert reader.exec_driver_sql("select count(*) from ledger_sums").scalar() == 0


entries = st.builds(
    lambda stage, partition, rows, aside, seconds: entry(
        stage,
        set(rows),
        filtered={"rule": {r for r in rows if r[0] % 3 == 0}},
        quarantined={f"reason {aside}": {r for r in rows if r[0] % 3 == 1}},
        partition=partition,
        at=AT + timedelta(seconds=seconds),
    ),
    st.sampled_from(["ingest", "stager", "loader"]),
    st.integers(0, 1),
    st.sets(st.tuples(st.integers(0, 2**40), st.integers(0, 3)), max_size=6),
    st.integers(0, 2),
    st.integers(0, 40),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(batches=st.lists(st.lists(entries, max_size=5), max_size=4))
def test_the_database_adds_up_like_the_pure_fold_however_entries_are_batched(engine: Engine, batches: Any) -> None:
    with engine.begin() as connection:
        for table in METADATA.tables.values():
            connection.execute(delete(table))
    expected: dict[tuple[str, int], Sums] = {}
    for batch in batches:
        with engine.begin() as connection:
            fold_ledger(connection, batch)
        for each in batch:
            key = (each.stage, each.partition)
            expected[key] = added(expected.get(key, Sums()), each)
    found = LedgerStore(engine).sums("nyc.flights", 1)
    assert {key: replace(sums, filtered={}, quarantined={}) for key, sums in found.items()} == {
        key: replace(sums, filtered={}, quarantined={}) for key, sums in expected.items()
    }
    for key, sums in expected.items():
        assert {rule: n for rule, n in sums.filtered.items() if n} == {
            r: n for r, n in found[key].filtered.items() if n
        }
        assert {why: n for why, n in sums.quarantined.items() if n} == {
            w: n for w, n in found[key].quarantined.items() if n
        }


def test_pace_is_of_the_last_minute_and_latency_of_the_last_minute_with_activity(engine: Engine) -> None:
    rows = {(offset, 0) for offset in range(120)}
    with engine.begin() as connection:
        fold_ledger(connection, [entry("ingest", rows), entry("ingest", {(1, 0)}, at=AT - timedelta(minutes=10))])
    store = LedgerStore(engine)
    busy = store.pace("nyc.flights", 1, AT + timedelta(seconds=5))["ingest"]
    idle = store.pace("nyc.flights", 1, AT + timedelta(hours=1))["ingest"]
    assert (busy.rate_rows_s, busy.latency[0]) == (2.0, 120)
    assert (idle.rate_rows_s, idle.latency[0]) == (0.0, 120)
    with engine.begin() as connection:
        forget_activity(connection, int(AT.timestamp()) + 60)
    assert store.pace("nyc.flights", 1, AT) == {}
    assert store.sums("nyc.flights", 1)["ingest", 0].rows_in == 121


def test_who_stores_the_next_offset_first_has_folded_the_records(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(FOLD_OFFSETS.insert().values(topic=LEDGER.topic, partition=0, next_offset=0))
    with engine.begin() as connection:
        move_offsets(connection, {LEDGER: (0, 5)})
        fold_ledger(connection, [entry("ingest", {(0, 0)})])
    with engine.begin() as connection, pytest.raises(Overtaken):
        move_offsets(connection, {LEDGER: (0, 5)})
    assert LedgerStore(engine).sums("nyc.flights", 1)["ingest", 0].rows_in == 1


def test_generations_share_what_ingest_and_the_stager_did_and_nothing_else(engine: Engine) -> None:
    first, second = ({(0, 0), (1, 0)}, {(2, 0)})
    of_second = [replace(entry(stage, second), generation=2) for stage in ("ingest", "stager")]
    own = [replace(entry(stage, first | second), generation=2) for stage in ("transformer", "quality", "loader")]
    with engine.begin() as connection:
        fold_ledger(connection, [entry(stage, first) for stage in STAGES] + of_second + own)
    store = LedgerStore(engine)
    read = {
        generation: {s: sums.rows_in for (s, _), sums in store.sums("nyc.flights", generation).items()}
        for generation in (1, 2)
    }
    assert read[1] == {"ingest": 3, "stager": 3, "transformer": 2, "quality": 2, "loader": 2}
    assert read[2] == dict.fromkeys(STAGES, 3)
    books = balance(store.sums("nyc.flights", 2), settled=True).total
    assert (books.read, books.loaded, books.residue, books.hashes_agree) == (3, 3, 0, True)
    assert balance(store.sums("nyc.flights", 1), settled=False).total.in_flight == 1


def test_the_generations_of_a_dataset_come_back_as_they_went(engine: Engine) -> None:
    first = DatasetVersion("a.b", 1, 1, "active", "{}", AT, "ann")
    beside = Generation(2, 2, "candidate", "{}", AT, "bea", "why", AT + timedelta(microseconds=1), "bea", "a rule")
    gone = replace(beside, generation=3, version=3, state="retired", document="")
    version = replace(first, live_since=AT, live_by="bea", live_because="once more", beside=(beside, gone))
    with engine.begin() as connection:
        fold_datasets(connection, [("a.b", first), ("a.b", version)])
    store = DatasetStore(engine)
    assert store.get("a.b") == version
    assert store.all() == {"a.b": version}
    found = store.version("a.b", 2)
    assert found is not None
    assert (found.generation, found.applied_by) == (2, "bea")
    assert store.version("a.b", 3) is None
