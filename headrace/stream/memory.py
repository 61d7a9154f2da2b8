"""The seams of the pump in memory: topics with transactions, for tests that need no broker.

The pair keeps the promises of the Kafka pair (all of a transaction or nothing, its offsets with it, stale
members refused) and fails when told to.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import cast

import pyarrow as pa

from headrace.errors import Transient
from headrace.stream.outputs import Outputs
from headrace.stream.pump import Delivery, Work
from headrace.stream.stage import Records

_epochs = count(1)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a topic held in memory."""

    key: bytes | None
    value: bytes | None
    timestamp_ms: int = 0


@dataclass
class MemoryLog:
    """A broker's worth of topics: topic -> partition -> messages, and the groups that read them.

    A group has one owner at a time: joining moves it to a new generation, which shuts out the member before.
    """

    topics: dict[str, dict[int, list[Message]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    committed: dict[tuple[str, str, int], int] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def append(
        self, topic: str, value: bytes | None, *, key: bytes | None = None, partition: int = 0, at_ms: int = 0
    ) -> None:
        """Put one message at the end of a partition."""
        self.topics[topic][partition].append(Message(key, value, at_ms))

    def values(self, topic: str) -> list[bytes | None]:
        """Every value of a topic, partition by partition."""
        return [message.value for _, messages in sorted(self.topics[topic].items()) for message in messages]


class MemorySource:
    """A `Source` over one topic of a `MemoryLog`."""

    def __init__(self, log: MemoryLog, topic: str, group: str) -> None:
        self._log = log
        self._topic = topic
        self._group = group
        log.generations[group] += 1
        self._generation = log.generations[group]
        self._next: dict[int, int] = {}
        self._resting = False
        self.rewind()

    @property
    def epoch(self) -> int:
        """See `headrace.stream.pump.Source.epoch`."""
        return self._epoch

    def poll(self, max_rows: int, timeout_s: float) -> Delivery | None:
        """See `headrace.stream.pump.Source.poll`; never waits."""
        del timeout_s
        if self._resting:
            return None
        found: list[tuple[int, int, Message]] = []
        for number, messages in sorted(self._log.topics[self._topic].items()):
            start = self._next.get(number, self._start(number))
            taken = messages[start : start + max_rows - len(found)]
            found += [(number, start + at, message) for at, message in enumerate(taken)]
            self._next[number] = start + len(taken)
        if not found:
            return None
        records = Records(
            self._topic,
            pa.array([number for number, _, _ in found], pa.int32()),
            pa.array([offset for _, offset, _ in found], pa.int64()),
            pa.array([message.timestamp_ms for _, _, message in found], pa.int64()),
            [message.key for _, _, message in found],
            [message.value for _, _, message in found],
        )
        ends = {number: offset + 1 for number, offset, _ in found}
        return Delivery(records, ends, (self._group, self._generation), self._epoch, len(found) == max_rows)

    def rewind(self) -> None:
        """See `headrace.stream.pump.Source.rewind`."""
        self._next = {}
        self._epoch = next(_epochs)

    def standing(self) -> Delivery:
        """See `headrace.stream.kafka.KafkaSource.standing`."""
        held = {
            number: self._next.get(number, self._start(number))
            for (group, topic, number) in self._log.committed
            if (group, topic) == (self._group, self._topic)
        }
        nothing = Records.numbered(self._topic, [])
        return Delivery(nothing, held, (self._group, self._generation), self._epoch)

    def rest(self, resting: bool) -> None:
        """See `headrace.stream.kafka.KafkaSource.rest`."""
        self._resting = resting

    def before_handover(self, finish: Callable[[], None]) -> None:
        """Partitions are taken, not asked for: a member learns of it when its commit is refused."""

    def close(self) -> None:
        """Nothing to give back."""

    def _start(self, partition: int) -> int:
        return self._log.committed.get((self._group, self._topic, partition), 0)


class MemorySink:
    """A `Sink` into a `MemoryLog`.

    `fail_before` and `fail_after` hold exceptions for the next commits: raised with nothing written, or with
    everything written and the answer lost.
    """

    def __init__(self, log: MemoryLog, outputs: Outputs) -> None:
        self._log = log
        self._outputs = outputs
        self.fail_before: list[Exception] = []
        self.fail_after: list[Exception] = []

    def commit(self, work: Work) -> None:
        """See `headrace.stream.pump.Sink.commit`."""
        messages = self._outputs(work)
        group, generation = cast(tuple[str, int], work.delivery.membership)
        if self.fail_before:
            raise self.fail_before.pop()
        if generation != self._log.generations[group]:
            raise Transient(f"a newer member has taken group {group} over")
        now_ms = max((int(entry.committed_at.timestamp() * 1000) for entry in work.entries), default=0)
        for part in messages:
            keys = part.keys if part.keys is not None else [None] * len(part.values)
            for key, value in zip(keys, part.values, strict=True):
                self._log.append(part.topic, value, key=key, partition=max(part.partition, 0), at_ms=now_ms)
        for number, offset in work.delivery.next_offsets.items():
            self._log.committed[group, work.delivery.records.topic, number] = offset
        if self.fail_after:
            raise self.fail_after.pop()

    def close(self) -> None:
        """Nothing to give back."""


class MemorySchemas:
    """A `Schemas` that keeps what it is given. It refuses nothing: compatibility is the real registry's business."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._latest: dict[str, int] = {}

    def register(self, subject: str, avro: str) -> int:
        """See `headrace.stream.registry.Schemas`."""
        if avro not in self._texts:
            self._texts.append(avro)
        self._latest[subject] = self._texts.index(avro) + 1
        return self._latest[subject]

    def schema(self, schema_id: int) -> str | None:
        """See `headrace.stream.registry.Schemas`."""
        return self._texts[schema_id - 1] if 0 < schema_id <= len(self._texts) else None

    def latest(self, subject: str) -> tuple[int, str] | None:
        """See `headrace.stream.registry.Schemas`."""
        schema_id = self._latest.get(subject)
        return (schema_id, self._texts[schema_id - 1]) if schema_id is not None else None
