"""A backfill is read by turns, begins and ends once, and never takes the reading of its source with it."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pytest

from headrace.connector import Fetched, SourceChanged, Stretch
from headrace.contract import Contract
from headrace.contract.source import SourceSettings
from headrace.errors import Fatal, Fenced, Transient
from headrace.stream.outputs import Messages
from headrace.stream.runs import History, Run
from headrace.stream.service import LiveDataset
from services.ingest.adapters.backfill import Backfills
from services.ingest.adapters.publisher import Encoded
from services.ingest.adapters.run_story import RunStory

AT = datetime(2026, 1, 2, tzinfo=UTC)
NAME = "shop.orders"
WISH = Run(NAME, 0, "wanted", AT, "ann", "first", since=AT, until=AT)
STEP = Fetched(pa.RecordBatch.from_pydict({"id": [1, 2]}))


def dataset(version: int = 1) -> LiveDataset:
    document = {
        "dataset": NAME,
        "description": "d",
        "owner": {"team": "t"},
        "source": {
            "type": "sql",
            "database": "sqlite",
            "name": "a.db",
            "table": "orders",
            "cursor": "at",
            "key": ["id"],
        },
    }
    return LiveDataset(NAME, version, 1, "active", Contract.from_json(json.dumps(document)))


class Topic:
    """The records of runs, of which nothing that is written shows at once: a commit takes its time."""

    def __init__(self, *told: Run) -> None:
        self.told = list(told)
        self.written: list[Run] = []

    def refresh(self) -> None:
        """Nothing has come."""

    def history(self) -> History:
        return History.of(NAME, self.told)

    def begun(self, after: Run | None) -> Run:
        wanted = self.history().wanted
        assert wanted is not None
        return replace(wanted, run=after.run + 1 if after else 1, state="begun", version=1)

    def ended(self, run: Run, source_rows: int | None) -> Run:
        return run

    def messages(self, run: Run) -> Any:
        return run

    def forgotten(self, kept: int) -> Messages:
        return Messages("", [])

    def close(self) -> None:
        """Nothing is open."""


class Source:
    """As many steps as are left; what is in `fails` is raised first."""

    def __init__(self, steps: int, *fails: Exception) -> None:
        self.steps, self.fails = steps, list(fails)
        self.waiting = False
        self.asked: list[str | None] = []

    def read_range(self, stretch: Stretch, position: str | None) -> Iterator[tuple[Fetched, str]]:
        self.asked.append(position)
        for number in range(int(position or 0), self.steps):
            if self.fails:
                raise self.fails.pop(0)
            yield STEP, str(number + 1)


def working(
    topic: Topic,
    source: Any,
    *,
    slice_s: float = 60.0,
    version: int = 1,
    mine: bool = True,
    broken: Exception | None = None,
) -> Backfills:
    def write(parts: Sequence[Encoded], extras: Sequence[Any]) -> bool:
        if parts and broken is not None:
            raise broken
        topic.written += [extra for extra in extras if isinstance(extra, Run)] if mine else []
        return mine

    opened: Any = lambda: topic  # noqa: E731
    encoded: Callable[[Fetched], Encoded] = lambda fetched: Encoded([b""] * fetched.rows.num_rows, None, ())  # noqa: E731
    told: Any = Mock()
    story = RunStory(NAME, told)
    return Backfills(dataset(version), opened, source, encoded, write, story, slice_s=slice_s, chance=lambda: 0.0)


def test_it_is_begun_and_read_and_ended_once() -> None:
    topic = Topic(WISH)
    backfills = working(topic, Source(3))
    assert not backfills.read_on()
    assert [(run.state, run.rows, run.position) for run in topic.written] == [
        ("begun", 0, ""),
        ("begun", 2, "1"),
        ("begun", 4, "2"),
        ("begun", 6, "3"),
        ("ended", 6, "3"),
    ]
    assert not backfills.read_on(), "the topic does not show it yet, and it is not begun again"
    assert len(topic.written) == 5


def test_it_gives_way_after_a_while_and_goes_on_where_it_was() -> None:
    topic, source = Topic(WISH), Source(3)
    backfills = working(topic, source, slice_s=-1.0)
    assert [backfills.read_on() for _ in range(4)] == [True, True, True, False]
    assert source.asked == [None, "1", "2", "3"]
    assert topic.written[-1].state == "ended"


def test_what_is_read_at_once_is_asked_once_and_ends_when_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    topic, source = Topic(WISH), Source(3)
    backfills = working(topic, source, slice_s=-1.0)
    monkeypatch.setattr(SourceSettings, "at_once", True)
    assert not backfills.read_on()
    assert source.asked == [None], "in slices it is asked four times, see above"
    assert [(run.state, run.rows) for run in topic.written] == [("begun", rows) for rows in (0, 2, 4, 6)] + [
        ("ended", 6)
    ]

    topic, source = Topic(WISH), Source(3)
    backfills = working(topic, source)
    topic.refresh = lambda: topic.told.append(replace(WISH, state="unwanted")) if topic.written else None  # type: ignore[method-assign]
    assert not backfills.read_on()
    assert [(run.state, run.rows) for run in topic.written] == [("begun", 0), ("begun", 2), ("cancelled", 2)]


def test_another_process_goes_on_where_it_was_and_a_new_version_begins_anew() -> None:
    begun = replace(WISH, run=1, state="begun", position="2", rows=4, version=1)
    source = Source(3)
    working(Topic(WISH, begun), source).read_on()
    working(Topic(WISH, begun), source, version=2).read_on()
    assert source.asked == ["2", None]


def test_who_is_not_the_owner_any_more_writes_nothing_of_it() -> None:
    topic = Topic(WISH)
    assert not working(topic, Source(3), mine=False).read_on()
    assert topic.written == []


def test_a_source_that_fails_is_tried_again_later_from_where_it_was() -> None:
    topic, source = Topic(WISH), Source(1, Transient("gone away"))
    backfills = working(topic, source)
    assert not backfills.read_on()
    assert topic.written[-1].message == "tried again: gone away"
    assert not backfills.read_on(), "it is not tried at once"
    backfills._not_before = 0.0
    backfills.read_on()
    assert (topic.written[-1].state, topic.written[-1].message) == ("ended", "")


def test_a_source_that_is_another_one_is_read_from_the_beginning_of_the_stretch() -> None:
    begun = replace(WISH, run=1, state="begun", position="1", rows=2, version=1)
    source = Source(2, SourceChanged("replaced"))
    backfills = working(Topic(WISH, begun), source)
    assert not backfills.read_on()
    backfills._not_before = 0.0
    backfills.read_on()
    assert source.asked == ["1", None]


def test_what_cannot_be_read_so_ends_it_with_the_reason() -> None:
    for source, why in (
        (Source(1, Fatal("tells no time")), "tells no time"),
        (object(), "a source of type sql cannot be read by time"),
        (Source(1, OverflowError("date value out of range")), "in an unforeseen way"),
    ):
        topic = Topic(WISH)
        assert not working(topic, source).read_on()
        assert topic.written[-1].state == "refused"
        assert why in topic.written[-1].message


@pytest.mark.parametrize("error", [Fenced("another instance has taken this work over"), Fatal("the disk is full")])
def test_what_the_platform_fails_at_is_not_the_backfills_to_judge(error: Exception) -> None:
    topic = Topic(WISH)
    with pytest.raises(type(error)):
        working(topic, Source(3), broken=error).read_on()
    assert [run.state for run in topic.written] == ["begun"], "nothing is written by one who may be shut out"


def test_it_ends_when_nobody_wants_it_also_before_it_began() -> None:
    topic, source = Topic(WISH), Source(3)
    backfills = working(topic, source, slice_s=-1.0)
    assert backfills.read_on()
    topic.told.append(replace(WISH, run=1, state="unwanted"))
    assert not backfills.read_on()
    assert (topic.written[-1].state, topic.written[-1].rows) == ("cancelled", 2)
    never = Topic(WISH, replace(WISH, state="unwanted"))
    assert not working(never, source).read_on()
    assert [run.state for run in never.written] == ["begun", "cancelled"]


def test_what_waits_keeps_it_from_ending() -> None:
    topic, source = Topic(WISH), Source(1)
    source.waiting = True
    backfills = working(topic, source)
    assert not backfills.read_on()
    assert [run.state for run in topic.written] == ["begun", "begun"]
    source.waiting = False
    assert not backfills.read_on()
    assert [run.state for run in topic.written] == ["begun", "begun", "ended"]


def test_a_source_that_is_long_about_its_first_step_is_read_on_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model runs its query before: with a slice for each step it ran anew, and where the rows had changed, from the beginning,
    without an end."""
    now = [0.0]
    monkeypatch.setattr("services.ingest.adapters.backfill.time.monotonic", lambda: now[0])

    class Long(Source):
        def read_range(self, stretch: Stretch, position: str | None) -> Iterator[tuple[Fetched, str]]:
            now[0] += 10.0
            yield from super().read_range(stretch, position)

    topic, source = Topic(WISH), Long(3)
    assert not working(topic, source, slice_s=2.0).read_on()
    assert source.asked == [None]
    assert topic.written[-1].state == "ended"
