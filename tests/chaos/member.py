"""A member of a group that freezes between poll and commit, and commits what it read when it wakes up.

Arguments: dataset, instance, and `freezes` for the member that shall be replaced meanwhile.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import Consumer

from headrace.errors import HeadraceError
from headrace.stream import topics
from headrace.stream.decode import Decoder
from headrace.stream.kafka import KafkaSink, KafkaSource, TransactionalWriter
from headrace.stream.ledger import Position
from headrace.stream.outputs import Outputs
from headrace.stream.pump import Pump, Sink, Work
from headrace.stream.registry import Registry
from headrace.stream.service import ServiceSettings
from headrace.stream.stage import MAIN
from tests.contract.stream.seams import Forward

COMMITTED: Final = 0
REFUSED: Final = 3
_JOINED_S: Final = 60.0


class Freezing:
    """Stops the process before its first commit; woken, joins the group again, and commits what it read as its old member."""

    def __init__(self, inner: Sink, consumer: Consumer, ended: Callable[[int], None]) -> None:
        self._inner = inner
        self._consumer = consumer
        self._ended = ended

    def commit(self, work: Work) -> None:
        """See `headrace.stream.pump.Sink.commit`."""
        member = self._consumer.memberid()
        os.kill(os.getpid(), signal.SIGSTOP)
        deadline = time.monotonic() + _JOINED_S
        while self._consumer.memberid() in (member, None) and time.monotonic() < deadline:
            self._consumer.poll(0.1)
        try:
            self._inner.commit(work)
        except HeadraceError:
            self._ended(REFUSED)
            raise
        self._ended(COMMITTED)

    def close(self) -> None:
        """See `headrace.stream.pump.Sink.close`."""
        self._inner.close()


def main(dataset: str, instance: str, *how: str) -> int:
    """Move the dataset's staged rows on until told to stop, or until the commit after the freeze."""
    settings = ServiceSettings(instance=instance)
    connection, registry = settings.connection(), Registry(settings.registry_url)
    group = topics.group("transformer", dataset, 1)
    source = KafkaSource(connection, topics.staged(dataset), group, session_timeout_ms=settings.session_timeout_ms)
    outputs = Outputs(registry, {MAIN: topics.transformed(dataset, 1)}, topics.quarantine(dataset))
    sink: Sink = KafkaSink(TransactionalWriter(connection, f"{group}.{instance}"), outputs)
    stopping, outcome = threading.Event(), [COMMITTED]

    def end(code: int = COMMITTED) -> None:
        outcome[0] = code
        stopping.set()

    signal.signal(signal.SIGTERM, lambda *_: end())
    if "freezes" in how:
        sink = Freezing(sink, source._consumer, end)
    Pump(Position(dataset, 1, 1, "transformer", instance), source, Decoder(registry), Forward(), sink).run(stopping)
    return outcome[0]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
