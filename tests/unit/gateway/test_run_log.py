"""What is told of a run, and from where to ask on."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.stage import Records
from services.gateway.adapters import run_log

NOW = datetime(2026, 11, 27, tzinfo=UTC)


class Events:
    """A topic of events whose last one is at offset 41."""

    def __init__(self, *_: Any) -> None: ...

    def since(self, _: datetime) -> Mapping[int, int]:
        return {0: 42}

    def seek(self, positions: Mapping[int, int]) -> None: ...

    def advance(self) -> Iterator[Records]:
        return iter(())

    def close(self) -> None: ...


class Unasked(Controls):
    def __init__(self) -> None: ...


def test_where_nothing_was_told_yet_it_is_asked_on_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the beginning, all events there ever were would be read again, and those of another run of that number told."""
    monkeypatch.setattr(run_log, "Replay", Events)
    story = run_log.RunLog(Connection("nowhere:1", {}), Unasked()).story("shop.orders", 1, NOW, None, 10)
    assert (story.events, story.after) == ([], 42)
