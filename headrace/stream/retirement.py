"""Drops what a generation leaves behind that is given up: each service its own, once no worker of it is left anywhere.

That the generation is retired stands in `_headrace.datasets` before this begins, and everything here can be done again: it is
begun anew whenever a service starts, and by each of its instances.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from headrace.errors import HeadraceError, Transient
from headrace.stream import topics
from headrace.stream.kafka import Connection
from headrace.stream.kafka import topics as kafka_topics

log = logging.getLogger(__name__)

_AGAIN_S: Final = 2.0
_MOST_S: Final = 300.0  # between two tries


class Subjects(Protocol):
    """The registry's schemas by topic; see `headrace.stream.registry.Registry`."""

    def forget(self, subject: str) -> bool: ...


def nothing(dataset: str, generation: int) -> None:
    """What a service drops that keeps nothing but topics and groups."""


@dataclass(frozen=True, slots=True)
class Estate:
    """What a service has of each generation: a group that reads, topics with schemas that it writes, what `drop` takes away.

    `drop` is given the dataset's name and the number; it can be repeated. Errors: Transient, Fatal.
    """

    stage: str
    topics: tuple[Callable[[str, int], str], ...] = ()
    drop: Callable[[str, int], None] = nothing


class Retirements:
    """Drops the estates of retired generations, in a thread that lives as long as there is something to drop."""

    def __init__(
        self,
        connection: Connection,
        subjects: Subjects,
        estate: Estate,
        on_dropped: Callable[[str, int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._subjects = subjects
        self._estate = estate
        self._on_dropped = on_dropped
        self._clock = clock
        self._stopping = threading.Event()
        self._turn = threading.Lock()
        self._open: set[tuple[str, int]] = set()
        self._done: set[tuple[str, int]] = set()
        self._failed: dict[tuple[str, int], _Failed] = {}
        self._thread: threading.Thread | None = None

    def follow(self, retired: Iterable[tuple[str, int]]) -> None:
        """Begin to drop these generations. The workers of this process have been told to end by now."""
        with self._turn:
            self._open |= set(retired) - self._done
            if self._open and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="retirements", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Leave the rest to the next start."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for name, generation in sorted(self._open):
                if (failed := self._failed.get((name, generation))) is None or self._clock() >= failed.again_s:
                    self._try(name, generation)
            with self._turn:
                self._open -= self._done
                if not self._open:
                    self._thread = None
                    return
            self._stopping.wait(_AGAIN_S)

    def _try(self, name: str, generation: int) -> None:
        try:
            if dropped(self._connection, self._subjects, self._estate, name, generation):
                log.info("dropped what was left of generation %d", generation, extra={"dataset": name})
                self._done.add((name, generation))
                self._failed.pop((name, generation), None)
                self._on_dropped(name, generation)
        except Exception as error:  # the thread is what all the others are dropped by
            self._note(name, generation, error)

    def _note(self, name: str, generation: int, error: Exception) -> None:
        """Say what stands in the way, once, and try again later and later."""
        before = self._failed.get((name, generation))
        wait_s = _AGAIN_S if before is None else min(2 * before.wait_s, _MOST_S)
        self._failed[name, generation] = _Failed(str(error), wait_s, self._clock() + wait_s)
        if before is not None and before.said == str(error):
            return
        if isinstance(error, Transient):
            log.info("generation %d is dropped later: %s", generation, error, extra={"dataset": name})
            return
        unforeseen = None if isinstance(error, HeadraceError) else error
        log.error(
            "generation %d cannot be dropped, it is tried again now and then: %s",
            generation,
            error,
            exc_info=unforeseen,
            extra={"dataset": name},
        )


@dataclass(frozen=True, slots=True)
class _Failed:
    """What stood in the way of a generation, how long is waited, and until when."""

    said: str
    wait_s: float
    again_s: float


def dropped(connection: Connection, subjects: Subjects, estate: Estate, dataset: str, generation: int) -> bool:
    """Drop what a service has of a generation, unless a worker of it is left. Returns whether it is gone.

    The group goes first: it can only go when no worker is in it, and who is in none neither writes its topics nor its table.
    Errors: Transient, Fatal.
    """
    if not kafka_topics.forget_group(connection, topics.group(estate.stage, dataset, generation)):
        return False
    for topic in estate.topics:
        kafka_topics.forget_topic(connection, topic(dataset, generation))
        subjects.forget(topics.subject(topic(dataset, generation)))
    estate.drop(dataset, generation)
    return True
