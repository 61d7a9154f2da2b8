"""Finds out where the staged topic begins after retention has deleted its first records: in front of which raw record."""

from collections.abc import Mapping
from contextlib import closing

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition

from headrace.errors import Transient
from headrace.stream import columns, topics
from headrace.stream.decode import Decoder
from headrace.stream.kafka import Connection, Replay
from headrace.stream.kafka.connection import mapped
from headrace.stream.registry import Schemas
from services.transformer.core.stretches import Seam

_REPLY_S = 20.0


class Seams:
    """Asks Kafka about a dataset's staged topic."""

    def __init__(self, connection: Connection, registry: Schemas, dataset: str) -> None:
        self._connection = connection
        self._decoder = Decoder(registry)
        self._raw, self._staged = topics.raw(dataset), topics.staged(dataset)
        self._stager = topics.group("stager", dataset, 1)

    def __call__(self, partitions: list[int]) -> Mapping[int, Seam]:
        """The seam of each of these partitions. Errors: Transient, Fatal."""
        if not partitions:
            return {}
        with closing(self._replay()) as replay:
            marks = replay.watermarks()
        cut = [number for number in partitions if marks[number][0] > 0]
        # First how far the stager is, then whether a record is left: what it had staged by then and is not left is deleted.
        staged_to = self._staged_to(cut) if cut else {}
        return {
            number: self._first_left(number, staged_to.get(number, 0)) if number in cut else Seam(0, 0)
            for number in partitions
        }

    def _replay(self) -> Replay:
        return Replay(self._connection, self._staged, end=IsolationLevel.READ_UNCOMMITTED, most_rows=1)

    def _first_left(self, number: int, staged_to: int) -> Seam:
        """At the first record that is left; without one, behind all that was staged."""
        with closing(self._replay()) as replay:
            low, high = replay.watermarks()[number]
            replay.seek({number: low})
            for records in replay.advance():
                batches, rejected = self._decoder(records)
                if rejected:
                    raise Transient(f"the first record that is left in {self._staged}[{number}]: {rejected[0].detail}")
                return Seam(batches[0].rows.column(columns.OFFSET)[0].as_py(), records.offset[0].as_py())
        return Seam(staged_to, high)

    def _staged_to(self, partitions: list[int]) -> dict[int, int]:
        """The raw offsets that the stager has read up to."""
        asking = Consumer(self._connection.client(group_id=self._stager, enable_auto_commit=False))
        try:
            answers = asking.committed([TopicPartition(self._raw, number) for number in partitions], timeout=_REPLY_S)
        except KafkaException as error:
            raise mapped(error, f"asking how far {self._raw} is staged") from error
        finally:
            asking.close()
        return {answer.partition: max(answer.offset, 0) for answer in answers}
