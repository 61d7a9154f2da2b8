"""Follows what is asked of quarantined rows: they are written anew into the raw topic or given up, each exactly once.

One transaction holds the raw records, the ledger entries, what the quarantine topic says of each row, that the row is done
with, and the offsets of the requests. So a request that is read again after a crash has either not been done, or is not
read again; and a row that is asked for twice is found among those that are done with. The group's assignment decides which
ingest it is, and the metadata of that assignment keeps a predecessor from committing any more.
"""

import threading
from collections.abc import Mapping
from typing import Final

from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Follower, KafkaSource, TransactionalWriter
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset
from services.ingest.adapters.committed import committed
from services.ingest.adapters.quarantine_work import QuarantineWork
from services.ingest.adapters.raw_topic import RawTopics
from services.ingest.core.quarantine import Done

_MOST_ROWS: Final = 500  # in a transaction
_POLL_S: Final = 0.2


class Resubmissions:
    """Follows the requests in a thread of its own, once the datasets are known."""

    def __init__(
        self,
        connection: Connection,
        registry: Registry,
        *,
        instance: str,
        session_timeout_ms: int,
        transaction_timeout_ms: int,
    ) -> None:
        self._connection = connection
        self._registry = registry
        self._controls = Controls(registry)
        self._instance = instance
        self._session_timeout_ms = session_timeout_ms
        self._transaction_timeout_ms = transaction_timeout_ms
        self._datasets: Mapping[str, LiveDataset] = {}
        self._follower = Follower("requests about quarantined rows", self._session)

    def learn(self, datasets: Mapping[str, LiveDataset]) -> None:
        """Note which datasets there are."""
        self._datasets = dict(datasets)
        self._follower.start()

    def close(self) -> None:
        """Finish what is under way, and stop."""
        self._follower.close()

    def _session(self, stopping: threading.Event) -> None:
        """Do what is asked until told to stop. Errors: whatever stands in the way; what was not committed is read again."""
        source = KafkaSource(
            self._connection,
            topics.QUARANTINE_REQUESTS,
            topics.QUARANTINE_GROUP,
            session_timeout_ms=self._session_timeout_ms,
            lost="earliest",  # what nobody answered in time is not done: its row stays as it is
        )
        writer = TransactionalWriter(
            self._connection,
            f"{topics.QUARANTINE_GROUP}.{self._instance}",
            transaction_timeout_ms=self._transaction_timeout_ms,
        )
        raw = RawTopics(self._connection)
        work = QuarantineWork(self._registry, self._controls, writer, raw, self._instance)
        epoch = -1
        done = Done()
        try:
            while not stopping.is_set():
                delivery = source.poll(_MOST_ROWS, _POLL_S)
                if delivery is None:
                    continue
                if delivery.epoch != epoch:
                    done, epoch = self._done(), delivery.epoch
                work.settle(delivery, self._datasets, done)
        finally:
            source.close()
            writer.close()
            raw.close()

    def _done(self) -> Done:
        """The rows that are done with. What an earlier owner has committed is among them. Errors: Transient."""
        done = Done()
        replay = committed(self._connection, topics.QUARANTINE_ACTS)
        try:
            for records in replay.advance():
                for value in records.values:
                    if value is not None:
                        record = self._controls.decode(value)
                        done.add(record["dataset"], record["row"])
        finally:
            replay.close()
        return done
