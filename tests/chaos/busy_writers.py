"""Writes transactions over all partitions of a topic, from many producers, until it is killed. Arguments: brokers, topic."""

import sys
import threading
from typing import Final

from headrace.stream.kafka import Connection, TransactionalWriter

PARTITIONS: Final = 8
_PRODUCERS: Final = 12
_RECORDS: Final = 5


def write(brokers: str, topic: str, number: int) -> None:
    """One producer's transactions."""
    writer = TransactionalWriter(Connection(brokers), f"{topic}-{number}", transaction_timeout_ms=5000)
    while True:
        with writer.transaction() as transaction:
            for partition in range(PARTITIONS):
                transaction.produce(topic, [b"x"] * _RECORDS, partition=partition)


if __name__ == "__main__":
    threads = [threading.Thread(target=write, args=(*sys.argv[1:3], number)) for number in range(_PRODUCERS)]
    for thread in threads:
        thread.start()
