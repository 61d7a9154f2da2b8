"""Takes away what sources keep outside of Headrace and nothing needs any more.

What is kept is on record (`_headrace.source-holdings`), and what is needed follows from the topics of datasets and wishes; so
whoever owns the dataset finds what is left to do, also after a kill. See
docs/decisions/0018-what-a-source-keeps-outside-is-on-record.md.
"""

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from headrace.connector import Connector, Leaving, Remnant
from headrace.errors import HeadraceError
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.holdings import Holding, HoldingLog, followed_holdings
from headrace.stream.kafka import Connection, Followed, Follower, Replay
from headrace.stream.notices import Notices
from headrace.stream.registry import Registry
from services.ingest.adapters.known_wishes import KnownWishes
from services.ingest.adapters.ownership import Ownership
from services.ingest.adapters.source_holdings import HELD, InUse
from services.ingest.core.backoff import delay_s
from services.ingest.core.release import Standing, why_released

log = logging.getLogger(__name__)

EVENT: Final = "source_released"
INCIDENT: Final = "holding_left"
_LOOK_S: Final = 1.0


class Releases:
    """Follows what is on record in a thread of its own. `opened` opens the connector that set something up."""

    def __init__(
        self,
        connection: Connection,
        registry: Registry,
        ownership: Ownership,
        wishes: KnownWishes,
        in_use: InUse,
        opened: Callable[[Holding], Connector],
        notices: Notices,
    ) -> None:
        self._connection = connection
        self._controls = Controls(registry)
        self._ownership = ownership
        self._wishes = wishes
        self._in_use = in_use
        self._opened = opened
        self._notices = notices
        self._log = HoldingLog(connection, self._controls)
        self._failures: dict[str, tuple[int, float]] = {}  # how often in a row, and when to try again
        self._follower = Follower("what sources keep outside", self._session)

    def start(self) -> None:
        """Begin, if it has not begun. Wishes have to be known by then."""
        self._follower.start()

    def close(self) -> None:
        """Finish what is under way, and stop."""
        self._follower.close()

    def _session(self, stopping: threading.Event) -> None:
        """Errors: whatever stands in the way; what is left to do is found again."""
        with (
            closing(followed_holdings(self._connection, self._controls)) as held,
            closing(Followed(self._connection, topics.DATASETS, self._standing)) as datasets,
        ):
            while not stopping.is_set():
                held.refresh()
                if held.state:
                    datasets.refresh()
                    for holding in list(held.state.values()):
                        if not stopping.is_set():
                            self._see_to(holding, datasets)
                stopping.wait(_LOOK_S)

    def _standing(self, value: bytes) -> Standing:
        """Not the dataset file itself: a version that this Headrace cannot read must not look like none."""
        record = self._controls.decode(value)
        return Standing(record["state"], json.loads(record["document"])["source"]["type"])

    def _see_to(self, holding: Holding, datasets: Followed[Standing]) -> None:
        name = holding.dataset
        _, again_s = self._failures.get(holding.name, (0, 0.0))
        # An abandoned one is not waited for: somebody asks.
        if (time.monotonic() < again_s and holding.state != "abandoned") or name in datasets.unreadable:
            return
        source_type = json.loads(holding.document)["source"]["type"]
        why = why_released(holding, source_type, datasets.state.get(name), self._wishes.pause(name))
        if not why or (holding.state == HELD and not datasets.state and self._untold()):
            return
        lock = self._in_use.of(name, source_type)
        if not lock.acquire(blocking=False):  # its reader is about to end
            return
        try:
            with self._ownership.working(name) as mine:
                if mine:
                    self._release(holding, why)
        finally:
            lock.release()

    def _untold(self) -> bool:
        """Whether nothing was ever said of any dataset: a topic that was lost is no reason to drop a slot."""
        with closing(Replay(self._connection, topics.DATASETS)) as replay:
            return not any(end for _, end in replay.watermarks().values())

    def _release(self, holding: Holding, why: str) -> None:
        leaving = self._changed(holding.name, lambda found: self._leaving(found, why))
        if leaving is None:
            return
        left = self._left(leaving)
        if not left or leaving.state == "abandoned":
            self._log.change(leaving.name, lambda _: None)
            self._failures.pop(leaving.name, None)
            self._tell_gone(leaving, left)
            return
        failures = self._failures.get(leaving.name, (0, 0.0))[0] + 1
        self._failures[leaving.name] = failures, time.monotonic() + delay_s(failures, random.random())  # noqa: S311
        message = "; ".join(map(str, left))
        self._changed(leaving.name, lambda found: replace(found, message=message))
        self._tell_left(leaving, message)

    def _leaving(self, found: Holding, why: str) -> Holding:
        if found.state != HELD:
            return found
        log.info("%s is taken away: %s", found.name, why, extra={"dataset": found.dataset})
        return replace(found, state="leaving", at=datetime.now(UTC), because=why)

    def _changed(self, name: str, change: Callable[[Holding], Holding]) -> Holding | None:
        """What is on record under a name, changed; None when it is not any more."""

        def decide(standing: Mapping[str, Holding]) -> Holding | None:
            found = standing.get(name)
            return None if found is None else change(found)

        return self._log.change(name, decide)

    def _left(self, leaving: Holding) -> Sequence[Remnant]:
        try:
            connector = self._opened(leaving)
            if not isinstance(connector, Leaving):
                return [Remnant(leaving.name, "its connector takes nothing away")]
            return connector.leave(leaving.name, leaving.made)
        except HeadraceError as error:
            return [Remnant(leaving.name, str(error))]

    def _tell_gone(self, holding: Holding, left: Sequence[Remnant]) -> None:
        rest = f"; left for good: {'; '.join(map(str, left))}" if left else ""
        message = f"{holding.name} of {holding.dataset} is taken away ({holding.because}){rest}"
        log.info("%s", message, extra={"dataset": holding.dataset})
        data = {"name": holding.name, "because": holding.because, "left": [each.what for each in left]}
        self._notices.event(EVENT, holding.dataset, message, data)
        self._notices.resolved(INCIDENT, holding.dataset, message)

    def _tell_left(self, holding: Holding, message: str) -> None:
        said = f"of {holding.name} of {holding.dataset}, which nothing needs any more ({holding.because}), is left: {message}"
        log.warning("%s", said, extra={"dataset": holding.dataset})
        self._notices.incident(INCIDENT, holding.dataset, said, {"name": holding.name})
