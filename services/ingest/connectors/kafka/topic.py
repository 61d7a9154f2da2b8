"""Reads a foreign topic from some offsets to its present ends, without a group, and without writing anything there."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import pyarrow as pa
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import ClusterMetadata  # type: ignore[attr-defined]

from headrace.errors import Fatal, HeadraceError
from headrace.stream.kafka.messages import records_of
from headrace.stream.stage import Records
from services.ingest.connectors.kafka.cluster import REPLY_S, Client, Cluster
from services.ingest.connectors.kafka.offsets import Bounds, Gap, Offsets, gaps, left
from services.ingest.connectors.kafka.servers import Server

_POLL_S: Final = 0.5
_LINGER_S: Final = 0.05  # how long a step waits for more once its first message is there
_STEP_BYTES: Final = 24 << 20
_WAITS_S: Final = (1.0, 3.0, 6.0)  # for an answer, the first time and again
_STALLED_S: Final = 30.0  # aborted transactions are passed over without a sign; no gigabytes of them are

Headers = Sequence[tuple[str, bytes | None]]


class NoTopic(Fatal):
    """The cluster has no such topic, or does not show it."""


@dataclass(frozen=True, slots=True)
class Messages:
    """Some messages of a topic. Shapes: `headers`, if they were asked for, has an entry for each of them."""

    records: Records
    headers: Sequence[Headers | None] = ()

    def __len__(self) -> int:
        return len(self.records)

    @classmethod
    def joined(cls, parts: Sequence["Messages"]) -> "Messages":
        """The messages of all parts, of which there is one or more."""
        records = [part.records for part in parts]
        together = Records(
            records[0].topic,
            pa.concat_arrays([each.partition for each in records]),
            pa.concat_arrays([each.offset for each in records]),
            pa.concat_arrays([each.timestamp_ms for each in records]),
            [key for each in records for key in each.keys],
            [value for each in records for value in each.values],
        )
        return cls(together, [headers for part in parts for headers in part.headers])

    def take(self, rows: Sequence[int]) -> "Messages":
        """The messages at some places, in the order they have."""
        if len(rows) == len(self):
            return self
        headers = [self.headers[row] for row in rows] if self.headers else ()
        return Messages(self.records.take(pa.array(rows, pa.int64())), headers)

    def place(self, row: int) -> str:
        """Where a message is, for a person."""
        return f"{self.records.topic}[{self.records.partition[row]}]@{self.records.offset[row]}"


class Topic:
    """A topic of a cluster. One thread at a time. Its client is kept between readings, and given up when one fails."""

    def __init__(self, cluster: Cluster, name: str, isolation: str, *, headers: bool = False) -> None:
        self.name = name
        self.cluster = cluster
        self._isolation = isolation
        self._with_headers = headers
        self._client: Client | None = None
        self._bytes_per_row = 1024.0
        self._ends: dict[int, int] = {}

    def nothing(self) -> Messages:
        """No messages."""
        return Messages(records_of(self.name, []))

    def brokers(self) -> list[Server]:
        """Where the cluster says that its brokers are. Errors: Transient, Fatal."""
        return _servers(self._described())

    def partitions(self) -> list[int]:
        """Which partitions it has now.

        Errors: Transient; Fatal, also when a broker is where none may be reached; NoTopic.
        """
        found = self._described()
        self.cluster.check_advertised(_servers(found))
        topic = found.topics[self.name]
        if topic.error is not None:
            if topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise NoTopic(f"{self.cluster.address} has no topic {self.name}, or its user may not see it")
            raise self._failed(topic.error, self._asking("the topic"))
        return sorted(topic.partitions)

    def _described(self) -> ClusterMetadata:
        """What the cluster says of the topic. It is asked again and again, as the client tells only then that it was refused."""
        client, failed = self._connected(), HeadraceError()
        for wait_s in _WAITS_S:
            try:
                found: ClusterMetadata = client.consumer.list_topics(self.name, timeout=wait_s)
            except KafkaException as error:
                failed = client.problem(error, self._asking("the topic"))
                if isinstance(failed, Fatal):
                    break
            else:
                return found
        self.close()
        raise failed

    def _asking(self, what: str) -> str:
        return f"asking {self.cluster.address} for {what} {self.name}"

    def bounds(self, partitions: Sequence[int]) -> dict[int, Bounds]:
        """The first offset of each partition, and its end as its isolation level has it. Errors: Transient, Fatal."""
        client = self._connected()
        low, high = (
            self._offsets(client, dict.fromkeys(partitions, which)) for which in (OFFSET_BEGINNING, OFFSET_END)
        )
        return {number: Bounds(low[number], high[number]) for number in partitions}

    def last_ends(self, partitions: Sequence[int]) -> dict[int, int]:
        """The ends behind all that is there, open transactions too. Errors: Transient, Fatal."""
        asking = self.cluster.client("read_uncommitted")
        try:
            return self._offsets(asking, dict.fromkeys(partitions, OFFSET_END))
        finally:
            asking.close()

    def at(self, partitions: Sequence[int], time_ms: int) -> dict[int, int]:
        """The first offset of each partition whose timestamp is that, or later; -1 where there is none.

        Errors: Transient, Fatal.
        """
        return self._offsets(self._connected(), dict.fromkeys(partitions, time_ms))

    def read(
        self, offsets: Offsets, ends: Offsets, most: int, lost: Callable[[Gap], None] = lambda _: None
    ) -> Generator[tuple[Messages, dict[int, int]], None, None]:
        """The messages from some offsets up to the ends, at most so many at a time, each step with the offsets behind it.

        A last step may have none: behind the last message there can be marks of transactions, which have offsets too.
        `lost` is told when messages were deleted meanwhile; unless it raises, what is left is read. Who cannot deal
        with the messages of a partition yet takes it out with `hold`. Errors: Transient, also when nothing comes for a
        while; Fatal.
        """
        at = given = {partition: offsets[partition] for partition in ends}
        self._ends = dict(ends)
        client = self._connected()
        try:
            self._assign(client, at)
            deadline = time.monotonic() + _STALLED_S
            while rest := left(at, self._ends):
                messages, notices = self._take(client, most)
                found, at = self._reached(messages, at)
                at = self._noted(client, notices, at, lost)
                if len(found):
                    yield found, (given := at)
                if len(found) or left(at, self._ends) < rest:
                    deadline = time.monotonic() + _STALLED_S
                elif time.monotonic() > deadline:
                    raise client.problem(None, f"{self._reading()}: nothing came in {_STALLED_S:g} s")
            client.consumer.unassign()  # a consumer that is not asked would go on fetching
        except GeneratorExit:
            client.consumer.unassign()
            raise
        except KafkaException as error:
            raise self._failed(error, self._reading()) from error
        except BaseException:
            self.close()
            raise
        if at != given:
            yield self.nothing(), at

    def hold(self, partition: int) -> None:
        """Read no more of a partition in this reading."""
        self._ends.pop(partition, None)
        self._connected().consumer.pause([TopicPartition(self.name, partition)])

    def close(self) -> None:
        """Give its connections back; they are made anew when they are needed."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _reading(self) -> str:
        return f"reading {self.name} of {self.cluster.address}"

    def _connected(self) -> Client:
        if self._client is None:
            self._client = self.cluster.client(self._isolation)
        return self._client

    def _failed(self, error: KafkaError | KafkaException, doing: str) -> HeadraceError:
        """What an error of the client means. The client is given up: a new one begins with the brokers it was told of."""
        found = self._connected().problem(error, doing)
        self.close()
        return found

    def _offsets(self, client: Client, which: Mapping[int, int]) -> dict[int, int]:
        """What the brokers say now: what the consumer remembers is as old as its last fetch."""
        doing = self._asking("the offsets of")
        try:
            answers = client.consumer.offsets_for_times(
                [TopicPartition(self.name, *each) for each in which.items()], timeout=REPLY_S
            )
        except KafkaException as error:
            raise self._failed(error, doing) from error
        for answer in answers:
            if answer.error is not None:
                raise self._failed(answer.error, doing)
        return {answer.partition: answer.offset for answer in answers}

    def _assign(self, client: Client, at: Offsets) -> None:
        places = [TopicPartition(self.name, partition, at[partition]) for partition in self._ends]
        client.consumer.assign(places)
        client.consumer.resume(places)  # what was held in an earlier reading still is

    def _take(self, client: Client, most: int) -> tuple[list[Message], list[Message]]:
        """The next messages, and notices about partitions. Errors: Transient, Fatal."""
        limit = max(1, min(most, int(_STEP_BYTES / self._bytes_per_row)))
        taken = client.consumer.consume(1, _POLL_S)
        if taken and limit > 1:
            taken += client.consumer.consume(limit - 1, _LINGER_S)
        messages = [message for message in taken if message.error() is None]
        notices = [message for message in taken if message.error() is not None] if len(messages) < len(taken) else []
        return messages, notices

    def _reached(self, messages: list[Message], at: Offsets) -> tuple[Messages, dict[int, int]]:
        """The messages in front of the ends, and the offsets behind them."""
        reached = dict(at)
        records = records_of(self.name, messages)
        if not messages:
            return Messages(records), reached
        partition, offset = records.partition.to_numpy(), records.offset.to_numpy()
        wanted = np.zeros(len(messages), bool)
        for number in map(int, np.unique(partition)):
            if number not in self._ends:
                continue
            mine = partition == number
            wanted |= mine & (offset < self._ends[number]) & (offset >= at[number])
            reached[number] = max(at[number], min(int(offset[mine][-1]) + 1, self._ends[number]))
        size_bytes = sum(map(len, filter(None, records.values)))
        self._bytes_per_row = max(1.0, 0.5 * self._bytes_per_row + 0.5 * size_bytes / len(messages))
        headers = [cast(Headers | None, message.headers()) for message in messages] if self._with_headers else ()
        return Messages(records, headers).take(np.flatnonzero(wanted).tolist()), reached

    def _noted(
        self, client: Client, notices: list[Message], at: dict[int, int], lost: Callable[[Gap], None]
    ) -> dict[int, int]:
        """The offsets as the client's notices change them: the end of a partition, or that an offset is no more."""
        for notice in notices:
            error, partition = cast(KafkaError, notice.error()), cast(int, notice.partition())
            if error.code() == KafkaError._PARTITION_EOF:
                if partition in self._ends:
                    at[partition] = max(at[partition], min(cast(int, notice.offset()), self._ends[partition]))
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                found = gaps(at, self.bounds([partition]))
                for gap in found:
                    lost(gap)
                    at[partition] = gap.resume
                self._assign(client, at)
            elif error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:  # the group is never used
                raise self._failed(error, self._reading())
        return at


def _servers(found: ClusterMetadata) -> list[Server]:
    return [Server(str(broker.host), int(broker.port)) for broker in found.brokers.values()]
