"""A run tells how far it is and how fast, every few seconds, and what each part of it took."""

from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.stream.runs import Run
from services.ingest.adapters.run_story import RunStory

RUN = Run("a.b", 3, "begun", datetime.now(UTC), version=1, begun_at=datetime.now(UTC) - timedelta(seconds=60))


class Told:
    """Notices that are kept."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, kind: str, _: str, __: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))


def test_progress_is_told_every_five_seconds_with_its_rate() -> None:
    told: Any = Told()
    now = [0.0]
    story = RunStory("a.b", told, lambda: now[0])
    for rows in range(1, 13):
        story.step(Run("a.b", 3, "begun", RUN.at, begun_at=RUN.begun_at, rows=rows * 100), 1000)
        now[0] += 1
    assert [kind for kind, _ in told.events] == ["run_reads", "run_reads"]
    first, second = (data for _, data in told.events)
    assert (first["rows"], first["size_bytes"], first["rows_per_s"]) == (600, 6000, 120.0)
    assert (second["rows"], second["size_bytes"], second["reading_s"]) == (1100, 11_000, 10.0)


def test_the_figures_of_a_run_are_not_those_of_the_one_before() -> None:
    told: Any = Told()
    now = [0.0]
    story = RunStory("a.b", told, lambda: now[0])
    story.step(Run("a.b", 2, "begun", RUN.at, begun_at=RUN.begun_at, rows=5), 1000)
    now[0] = 50
    story.ended(RUN)
    [(kind, data)] = told.events
    assert (kind, data["size_bytes"], data["rows_per_s"], data["reading_s"]) == ("run_ended", 0, None, 0.0)
    assert data["waited_s"] > 59
