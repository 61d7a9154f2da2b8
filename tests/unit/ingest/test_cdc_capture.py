"""A capture is looked after: what failed is started again with patience, and what only a person can mend stops it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import Fatal
from headrace.stream.kafka import Connection
from services.ingest.connectors.cdc import capture
from services.ingest.connectors.cdc.capture import Capture
from services.ingest.connectors.cdc.connect import Connect, Status
from services.ingest.connectors.cdc.database import Slot
from services.ingest.connectors.cdc.names import Names

RUNNING = Status("RUNNING", "RUNNING")
STREAMING: Sequence[Mapping[str, Any]] = ({"lsn": 1},)
SNAPSHOTTING: Sequence[Mapping[str, Any]] = ({"lsn": 1, "snapshot": "INITIAL"},)


def failed(trace: str) -> Status:
    return Status("RUNNING", "FAILED", trace)


class Worker(Connect):
    """Says what it is told to, and notes what it was asked."""

    def __init__(self, state: Status, offsets: Sequence[Mapping[str, Any]] = STREAMING) -> None:
        super().__init__("http://worker")
        self.state, self.noted, self.asked = state, offsets, list[str]()

    def status(self, name: str) -> Status | None:
        return self.state

    def offsets(self, name: str) -> list[Mapping[str, Any]]:
        return list(self.noted)

    def restart(self, name: str) -> None:
        self.asked.append("restart")

    def stop(self, name: str) -> None:
        self.asked.append("stop")


@dataclass
class Slots:
    """A database with one slot, or none."""

    held: Slot | None = field(default_factory=lambda: Slot(active=True, lost=False, behind_bytes=112))

    def slot(self, name: str) -> Slot | None:
        return self.held

    def published(self, name: str) -> bool:
        return self.held is not None

    def drop(self, slot: str) -> None:
        self.held = None

    def unpublish(self, name: str) -> None:
        raise AssertionError("nothing is taken away here")


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        self.now_s += 3  # more than lies between two looks
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(capture, "time", made)
    return made


def watched(worker: Worker, slots: Slots | None = None) -> Capture:
    connection = Connection("127.0.0.1:1")
    return Capture(Names("shop.orders", 1), {}, worker, connection, slots or Slots(), Path(), None)


def test_it_is_settled_once_the_snapshot_is_behind_it(clock: Clock) -> None:
    worker = Worker(RUNNING, ())
    looked = watched(worker)
    for noted, settled in (((), False), (SNAPSHOTTING, False), (STREAMING, True)):
        worker.noted = noted
        looked.look()
        assert looked.settled == settled


def test_a_task_that_fails_is_started_again_ever_more_rarely(clock: Clock) -> None:
    worker = Worker(failed("java.net.SocketException: the connection is gone"))
    looked = watched(worker)
    looks_between = []
    for _ in range(6):
        worker.asked.clear()
        looks = 0
        while not worker.asked:
            looked.look()
            looks += 1
        looks_between.append(looks)
    assert looks_between == sorted(looks_between)
    assert looks_between[0] == 1
    assert looks_between[-1] > 4
    worker.state = RUNNING
    looked.look()
    worker.state = failed("again")
    worker.asked.clear()
    clock.now_s += 100
    looked.look()
    looked.look()
    assert worker.asked == ["restart", "restart"], "patience begins anew"


@pytest.mark.parametrize(
    ("trace", "said"),
    [
        ("io.debezium.DebeziumException: ... but this is no longer available on the server.", r"snapshot` to 2"),
        (
            "org.postgresql.util.PSQLException: ERROR: requested WAL segment 1 has already been removed",
            r"snapshot` to 2",
        ),
        (
            "Caused by: X: Could not find GTID state requested by slave in any binlog files. Probably the slave state is too "
            "old and required binlog files have been purged.",
            r"snapshot` to 2",
        ),
        ("Caused by: X: DDL statement couldn't be parsed.", r"snapshot` to 2 .* to begin behind it"),
        ("Caused by: X: Access denied for user 'r'@'h'", "refused by the database"),
        ("Caused by: java.lang.IllegalArgumentException\n\tat java.sql/java.sql.Date.valueOf(U)", "the year 0000"),
        ('Caused by: X: FATAL: password authentication failed for user "a"', "refused by the database"),
    ],
)
def test_what_trying_again_cannot_mend_stops_it(clock: Clock, trace: str, said: str) -> None:
    worker = Worker(failed(trace))
    with pytest.raises(Fatal, match=said):
        watched(worker).look()
    assert "restart" not in worker.asked


@pytest.mark.parametrize("held", [None, Slot(active=False, lost=True, behind_bytes=0)])
def test_a_slot_that_is_gone_or_has_lost_its_log_stops_it_before_another_is_made(
    clock: Clock, held: Slot | None
) -> None:
    worker = Worker(RUNNING)
    with pytest.raises(Fatal, match=r"snapshot` to 2"):
        watched(worker, Slots(held)).look()
    assert worker.asked == ["stop"]


def test_a_capture_that_has_not_begun_has_no_slot_yet(clock: Clock) -> None:
    worker = Worker(RUNNING, ())
    watched(worker, Slots(None)).look()
    assert worker.asked == []
