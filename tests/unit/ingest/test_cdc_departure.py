"""What a capture set up is taken away part by part: what fails keeps nothing else, and what is not ours stays."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from headrace.errors import Transient
from headrace.stream.kafka import Connection
from services.ingest.connectors.cdc import departure
from services.ingest.connectors.cdc.connect import Connect
from services.ingest.connectors.cdc.database import Log, Slot
from services.ingest.connectors.cdc.departure import PUBLICATION, SLOT, Departure
from services.ingest.connectors.cdc.names import Names

NAMES = Names("shop.orders", 1)
IDLE = Slot(active=False, lost=False, behind_bytes=0)


class Worker(Connect):
    """Notes what it was asked; answers nothing while it is away."""

    def __init__(self, *, away: bool = False) -> None:
        super().__init__("http://worker")
        self.away, self.asked = away, list[str]()

    def halt(self, name: str) -> None:
        if self.away:
            raise Transient("Kafka Connect does not answer")
        self.asked.append("halt")

    def forget(self, name: str) -> None:
        self.asked.append("forget")

    def delete(self, name: str) -> None:
        self.asked.append("delete")


@dataclass
class Database:
    """A database with a slot and a publication."""

    there: set[str] = field(default_factory=lambda: {SLOT, PUBLICATION})

    def slot(self, name: str) -> Slot | None:
        return IDLE if SLOT in self.there else None

    def published(self, name: str) -> bool:
        return PUBLICATION in self.there

    def drop(self, slot: str) -> None:
        self.there.discard(SLOT)

    def unpublish(self, name: str) -> None:
        self.there.discard(PUBLICATION)


@pytest.fixture
def deleted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The topics that are deleted."""
    names: list[str] = []
    monkeypatch.setattr(departure, "_delete_topics", lambda _, given: names.extend(given))
    return names


def of(
    worker: Worker, database: Database | None, folder: Path, made: Collection[str] = (SLOT, PUBLICATION)
) -> Departure:
    def log() -> Log:
        if database is None:
            raise Transient("the database is gone")
        return database

    return Departure(NAMES, made, worker, Connection("127.0.0.1:1"), "the database at db:5432", log, folder)


def test_all_of_it_goes_and_once_more_changes_nothing(deleted: list[str], tmp_path: Path) -> None:
    worker, database = Worker(), Database()
    (tmp_path / NAMES.secret).write_text("a password")
    for _ in range(2):
        assert of(worker, database, tmp_path).take() == []
        assert database.there == set()
        assert worker.asked[-3:] == ["halt", "forget", "delete"]
        assert NAMES.topic in deleted
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("made", "stays"), [((SLOT,), {PUBLICATION}), ((PUBLICATION,), {SLOT}), ((), {SLOT, PUBLICATION})]
)
def test_what_headrace_did_not_make_stays(
    made: Collection[str], stays: set[str], deleted: list[str], tmp_path: Path
) -> None:
    database = Database()
    assert of(Worker(), database, tmp_path, made).take() == []
    assert database.there == stays


def test_the_slot_goes_while_connect_is_away_and_the_topics_stay_for_later(deleted: list[str], tmp_path: Path) -> None:
    database = Database()
    (left,) = of(Worker(away=True), database, tmp_path).take()
    assert "Kafka Connect does not answer" in str(left)
    assert "curl -X DELETE http://worker/connectors/shop.orders.cdc1" in left.by_hand
    assert (database.there, deleted) == (set(), [])


def test_a_database_that_is_gone_is_said_and_keeps_nothing_else(deleted: list[str], tmp_path: Path) -> None:
    worker = Worker()
    left = of(worker, None, tmp_path).take()
    assert [each.by_hand for each in left] == [
        "SELECT pg_drop_replication_slot('headrace_shop__orders_1')",
        'DROP PUBLICATION IF EXISTS "headrace_shop__orders_1"',
    ]
    assert "db:5432" in str(left[0])
    assert worker.asked == ["halt", "forget", "delete"]
    assert NAMES.topic in deleted


def test_a_slot_that_is_in_use_is_left(deleted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departure, "_LET_GO_S", 0.0)
    database = Database()
    monkeypatch.setattr(database, "slot", lambda _: Slot(active=True, lost=False, behind_bytes=0))
    (left,) = of(Worker(), database, tmp_path).take()
    assert "it is in use" in left.why
    assert SLOT in database.there
