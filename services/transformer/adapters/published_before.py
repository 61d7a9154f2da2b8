"""Tells a stage with checks of kind unique which rows went on before, from the dataset's own topics."""

from confluent_kafka import IsolationLevel

from headrace.stream import topics
from headrace.stream.decode import Decoder
from headrace.stream.kafka import Connection, Replay
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset
from headrace.transform.seen import Seen
from headrace.transform.stage import Transform


class PublishedBefore:
    """Reads the topics of a dataset's validated and transformed rows, all partitions. Nothing else is stored: after a restart
    they are read again in full. One thread at a time.

    Validated rows are kept for ever, and are those transformed ones that the quality service was at: what the one topic has no
    more, or not yet, the other has.
    """

    def __init__(self, connection: Connection, registry: Registry, dataset: LiveDataset, seen: Seen) -> None:
        self._decoder = Decoder(registry)
        self._seen = seen
        self._epoch: int | None = None
        self._replays = (
            Replay(connection, topics.validated(dataset.name, dataset.generation)),
            # To the very end: another member has just ended its transaction, and its marker may be on its way.
            Replay(
                connection, topics.transformed(dataset.name, dataset.generation), end=IsolationLevel.READ_UNCOMMITTED
            ),
        )

    def refresh(self, epoch: int, stage: Transform) -> None:
        """Before the first batch of an epoch, let the stage know what stands, and nothing else. Errors: Transient, Fatal.

        Within an epoch it knows by itself what it let go on. Another begins when that may not have been committed, or when
        other members have worked meanwhile.
        """
        if epoch == self._epoch:
            return
        self._seen.forget_unconfirmed()
        for replay in self._replays:
            for records in replay.advance():
                batches, _ = self._decoder(records)  # what cannot be read is quarantined by the loader
                for batch in batches:
                    stage.confirm(batch.rows)
        self._epoch = epoch

    def close(self) -> None:
        """Stop reading, and forget what was read."""
        for replay in self._replays:
            replay.close()
        self._seen.close()
