"""Writes a batch's messages and the offsets of its input in one Kafka transaction."""

from headrace.stream.kafka.writer import TransactionalWriter
from headrace.stream.outputs import Outputs
from headrace.stream.pump import Work


class KafkaSink:
    """A `Sink` whose transaction is Kafka's."""

    def __init__(self, writer: TransactionalWriter, outputs: Outputs) -> None:
        self._writer = writer
        self._outputs = outputs

    def commit(self, work: Work) -> None:
        """See `headrace.stream.pump.Sink.commit`."""
        messages = self._outputs(work)
        delivery = work.delivery
        with self._writer.transaction() as transaction:
            for part in messages:
                transaction.produce(part.topic, part.values, partition=part.partition, keys=part.keys)
            transaction.send_offsets(delivery.records.topic, delivery.next_offsets, delivery.membership)

    def close(self) -> None:
        """See `headrace.stream.pump.Sink.close`."""
        self._writer.close()
