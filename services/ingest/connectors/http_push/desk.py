"""Where pushes wait to be written: a counter for each writer, and the desk that knows them all."""

import queue
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

from headrace.errors import HeadraceError, Transient
from headrace.stream.service import LiveDataset
from headrace.stream.wishes import Wish
from services.ingest.connectors.http_push.settings import HttpPushSource

_MOST_BYTES: Final = 16 << 20  # that share a transaction
_LINGER_S: Final = 0.01  # how long a request waits for others to share its transaction


class KeyReused(HeadraceError):
    """An idempotency key that was accepted with another body."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request. `repeated` says that it had been accepted before.

    Of a named producer: how many of its frames had been accepted before, and the last number that has been.
    """

    accepted: int
    quarantined: int
    repeated: bool = False
    repeated_frames: int = 0
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Numbered:
    """Frames of a named producer, each lines of JSON with a number of its own. The numbers only grow.

    Without frames it asks for the last number that was accepted.
    """

    producer: str
    numbers: Sequence[int]
    frames: Sequence[bytes]

    def after(self, last: int | None) -> "Numbered":
        """The frames behind a number."""
        first = 0 if last is None else bisect_right(self.numbers, last)
        return self if first == 0 else Numbered(self.producer, self.numbers[first:], self.frames[first:])


@dataclass(frozen=True, slots=True)
class Push:
    """One request, and where its answer goes. `key` and `numbered` are two ways to be written once."""

    body: bytes
    form: str
    key: str | None
    answer: "Future[Answer]" = field(default_factory=Future)
    numbered: Numbered | None = None
    repeated_frames: int = 0

    @classmethod
    def of(cls, numbered: Numbered) -> "Push":
        """The frames of a producer as a request."""
        return cls(b"\n".join(numbered.frames), "ndjson", None, numbered=numbered)

    @property
    def once(self) -> bool:
        """Whether it has to be written once, however often it is sent."""
        return self.key is not None or self.numbered is not None

    @property
    def asks(self) -> bool:
        """Whether it brings nothing and asks for the last number of its producer."""
        return self.numbered is not None and not self.numbered.frames

    @property
    def body_sha256(self) -> str:
        return sha256(self.form.encode() + b"\n" + self.body).hexdigest()

    def narrowed(self, numbered: Numbered) -> "Push":
        """The same without the frames that had been accepted before, to be answered in its place."""
        before = 0 if self.numbered is None else len(self.numbered.frames) - len(numbered.frames)
        return replace(self, body=b"\n".join(numbered.frames), numbered=numbered, repeated_frames=before)


class Counter:
    """Where requests wait for a dataset's writer. It holds at most `most_bytes`; more is refused."""

    def __init__(self, most_bytes: int) -> None:
        self._queue: queue.SimpleQueue[Push] = queue.SimpleQueue()
        self._most_bytes = most_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._open = True

    def hand_in(self, push: Push) -> "Future[Answer]":
        """Wait for an answer to `push`. Errors: Transient when too much waits already, or the writer has stopped."""
        with self._lock:
            if not self._open or self._bytes + len(push.body) > self._most_bytes:
                raise Transient(
                    "too many rows wait for the broker" if self._open else "the dataset's writer is stopping"
                )
            self._bytes += len(push.body)
            push.answer.set_running_or_notify_cancel()  # who gives up waiting cannot take the request back
            self._queue.put(push)
        return push.answer

    def take(self, timeout_s: float) -> list[Push]:
        """What waits, in order: at least one request, unless none came in time."""
        group: list[Push] = []
        size = 0
        with suppress(queue.Empty):
            group.append(self._queue.get(timeout=timeout_s))
            size = len(group[0].body)
            until = time.monotonic() + _LINGER_S
            while size < _MOST_BYTES:
                group.append(self._queue.get(timeout=max(0.0, until - time.monotonic())))
                size += len(group[-1].body)
        with self._lock:
            self._bytes -= size
        return group

    def close(self) -> None:
        """Refuse further requests, and those that wait."""
        with self._lock:
            self._open = False
        while left := self.take(0.0):
            fail(left, Transient("the dataset's writer is stopping"))


class Desk:
    """Where the counters of all datasets that take pushes are. Safe to share between threads.

    `paused` tells the pause of a dataset that stands, if one does.
    """

    def __init__(self, most_bytes: int, paused: Callable[[str], Wish | None] = lambda _: None) -> None:
        self.paused = paused
        self._most_bytes = most_bytes
        self._counters: dict[tuple[str, bool], Counter] = {}
        self._lock = threading.Lock()
        self._sources: Mapping[str, HttpPushSource] | None = None

    def learn(self, datasets: Mapping[str, LiveDataset]) -> None:
        """Note which datasets there are."""
        self._sources = {
            name: source
            for name, dataset in datasets.items()
            if dataset.state == "active" and isinstance(source := dataset.contract.source, HttpPushSource)
        }

    def knows(self, dataset: str) -> bool | None:
        """Whether there is a dataset of that name that is pushed to; None before it is known which there are."""
        return None if self._sources is None else dataset in self._sources

    def source(self, dataset: str) -> HttpPushSource | None:
        """What the file of a dataset says now; None when no dataset of that name is known to be pushed to."""
        return None if self._sources is None else self._sources.get(dataset)

    def open(self, dataset: str, keyed: bool) -> Counter:
        """The counter of a writer that starts."""
        with self._lock:
            counter = self._counters[dataset, keyed] = Counter(self._most_bytes)
        return counter

    def close(self, counter: Counter) -> None:
        """Close the counter of a writer that ends; the one of its successor, if it is there already, stays."""
        with self._lock:
            self._counters = {place: each for place, each in self._counters.items() if each is not counter}
        counter.close()

    def takes(self, dataset: str, keyed: bool) -> bool:
        """Whether the dataset takes pushes now."""
        return (dataset, keyed) in self._counters

    def hand_in(self, dataset: str, push: Push) -> "Future[Answer]":
        """See `Counter.hand_in`. Errors: KeyError when the dataset takes no pushes."""
        return self._counters[dataset, push.once].hand_in(push)


def fail(group: Sequence[Push], error: BaseException) -> None:
    """Answer those that have no answer yet with an error."""
    for push in group:
        if not push.answer.done():
            push.answer.set_exception(error)
