"""Every ledger entry is in the sums exactly once, however often the gateway dies."""

import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from confluent_kafka.admin import AdminClient
from sqlalchemy import insert

from headrace.errors import Transient
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, TransactionalWriter
from headrace.stream.kafka.topics import ensure_control
from headrace.stream.ledger import LedgerEntry
from services.gateway.adapters.control_fold import FOLDED_TOPICS, ControlFold, Slot
from services.gateway.adapters.database import open_database, upgrade
from services.gateway.adapters.ledger_store import LedgerStore, fold_ledger
from services.gateway.adapters.progress import Progress
from services.gateway.adapters.tables import FOLD_OFFSETS, METADATA
from services.gateway.core.folding import Sums, added
from tests.stack import Stack, eventually
from tests.unit.gateway.books import AT, entry

BATCHES = 12
ENTRIES = 20


def expected_of(dataset: str) -> Sums:
    total = Sums()
    for each in _entries(dataset):
        total = added(total, each)
    return total


def _entries(dataset: str) -> list[LedgerEntry]:
    rows = [{(10 * number + i, 0) for i in range(3)} for number in range(BATCHES * ENTRIES)]
    return [
        replace(entry("stager", each, filtered={"rule": set(list(each)[:1])}), dataset=dataset, partition=0)
        for each in rows
    ]


def write_ledger(connection: Connection, controls: Controls, dataset: str) -> None:
    """Entries in a dozen transactions, and aborted ones between them that nobody may see."""
    writer = TransactionalWriter(connection, f"test-{dataset}")
    values = [controls.encode("ledger_entry", asdict(each)) for each in _entries(dataset)]
    keys = [dataset.encode()] * ENTRIES
    try:
        for batch in range(BATCHES):
            chosen = values[batch * ENTRIES : (batch + 1) * ENTRIES]
            with suppress(KeyError), writer.transaction() as aborted:
                aborted.produce(topics.LEDGER, chosen, keys=keys)
                raise KeyError
            with writer.transaction() as transaction:
                transaction.produce(topics.LEDGER, chosen, keys=keys)
    finally:
        writer.close()


def now(connection: Connection, *slots: Slot) -> dict[Slot, int]:
    """The present ends. Partitions that have just been made need a moment."""
    ends: dict[Slot, int] = {}

    def known() -> bool:
        with suppress(Transient):
            ends.update(Progress(connection).ends(slots))
        return bool(ends)

    eventually(known, 30, "the ends of topics are known")
    return ends


@pytest.fixture
def database(connection: Connection, tmp_path: Path) -> Path:
    """A database that begins at the present ends of the control topics."""
    ensure_control(connection)
    path = tmp_path / "gateway.db"
    engine = open_database(f"sqlite:///{path}")
    upgrade(engine)
    partitions = AdminClient(connection.client()).list_topics(timeout=10).topics
    ends = now(connection, *(Slot(topic, number) for topic in FOLDED_TOPICS for number in partitions[topic].partitions))
    with engine.begin() as opened:
        opened.execute(insert(FOLD_OFFSETS), [slot._asdict() | {"next_offset": end} for slot, end in ends.items()])
    engine.dispose()
    return path


def run_until_done(kind: str, stack: Stack, database: Path, deaths: list[int]) -> int:
    """Run the fold again and again; each time it dies at another batch, the last time it lives. Returns how often it died."""
    died = 0
    for dies_at in (*deaths, 0):
        arguments = [kind, stack.bootstrap_servers, stack.registry_url, str(database), str(dies_at)]
        ended = subprocess.run(
            [sys.executable, "-m", "tests.integration.gateway.dying_fold", *arguments], check=False, timeout=120
        )
        assert ended.returncode in (0, -signal.SIGKILL)
        died += ended.returncode != 0
    return died


def folded(database: Path, dataset: str) -> Sums:
    engine = open_database(f"sqlite:///{database}")
    try:
        return LedgerStore(engine).sums(dataset, 1)["stager", 0]
    finally:
        engine.dispose()


def test_kill_9_before_and_after_commits_changes_no_sum(
    stack: Stack, connection: Connection, controls: Controls, database: Path, domain: str
) -> None:
    dataset = f"{domain}.books"
    write_ledger(connection, controls, dataset)
    assert run_until_done("dying", stack, database, [1, 2, 3]) == 3
    assert folded(database, dataset) == expected_of(dataset)


def test_with_offsets_in_a_transaction_of_their_own_the_same_deaths_count_rows_twice(
    stack: Stack, connection: Connection, controls: Controls, database: Path, domain: str
) -> None:
    """The negative control of the test above."""
    dataset = f"{domain}.books"
    write_ledger(connection, controls, dataset)
    assert run_until_done("torn", stack, database, [1, 2]) == 2
    assert folded(database, dataset).rows_in > expected_of(dataset).rows_in


def test_two_gateways_on_one_database_fold_each_entry_once(
    connection: Connection, controls: Controls, own_database_url: str, domain: str
) -> None:
    dataset = f"{domain}.books"
    engines = [open_database(own_database_url), open_database(own_database_url)]
    upgrade(engines[0])
    folds = [ControlFold(connection, controls, engine) for engine in engines]
    for fold in folds:
        fold.start()
    try:
        write_ledger(connection, controls, dataset)
        ends = Progress(connection).ends([Slot(topics.LEDGER, 0)])
        assert all(fold.wait_for(ends, 60) for fold in folds)
        assert LedgerStore(engines[0]).sums(dataset, 1)["stager", 0] == expected_of(dataset)
    finally:
        for fold, engine in zip(folds, engines, strict=True):
            fold.stop()
            engine.dispose()


def test_the_books_on_postgresql_are_those_on_sqlite(own_database_url: str, database: Path, domain: str) -> None:
    dataset = f"{domain}.books"
    engines = [open_database(own_database_url), open_database(f"sqlite:///{database}")]
    upgrade(engines[0])
    upgrade(engines[0])
    with engines[0].connect() as opened:
        assert compare_metadata(MigrationContext.configure(opened), METADATA) == []
    for engine in engines:
        with engine.begin() as opened:
            fold_ledger(opened, _entries(dataset))
    assert LedgerStore(engines[0]).sums(dataset, 1) == LedgerStore(engines[1]).sums(dataset, 1)
    for engine in engines:
        engine.dispose()


def test_a_record_nobody_can_read_is_skipped_and_the_fold_goes_on(
    connection: Connection, controls: Controls, database: Path, domain: str
) -> None:
    dataset = f"{domain}.books"
    writer = TransactionalWriter(connection, f"test-{dataset}")
    event = controls.encode("event", {
        "type": "t", "service": "s", "instance": "0", "at": AT, "message": "", "data": "{}"
    })  # fmt: skip
    for junk in (event, b"", b"junk", b"\0\0\0\0\0", b"\0\xff\xff\xff\xff"):
        with writer.transaction() as transaction:
            transaction.produce(topics.LEDGER, [junk], keys=[b"\xff"])
    writer.close()
    write_ledger(connection, controls, dataset)
    engine = open_database(f"sqlite:///{database}")
    fold = ControlFold(connection, controls, engine)
    fold.start()
    try:
        assert fold.wait_for(Progress(connection).ends([Slot(topics.LEDGER, 0)]), 60), fold.fault
        assert LedgerStore(engine).sums(dataset, 1)["stager", 0] == expected_of(dataset)
    finally:
        fold.stop()
        engine.dispose()
