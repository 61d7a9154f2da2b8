"""Writes to topics whose changes are decided on all that stands there, one writer at a time in the whole cluster.

The transactional id is the lock: starting to use it shuts every other writer out and settles what it left open. So what is read
after that is all there is, and a writer that was shut out meanwhile fails to commit.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.errors import Fenced, Transient
from headrace.stream.kafka import topics
from headrace.stream.kafka.connection import Connection
from headrace.stream.kafka.writer import TransactionalWriter


class SoleWriter:
    """The writer with this transactional id. `overtaken` says what another has done when it was quicker. Safe to share."""

    def __init__(self, connection: Connection, transactional_id: str, overtaken: str) -> None:
        self._connection = connection
        self._id = transactional_id
        self._overtaken = overtaken
        self._turn = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[TransactionalWriter]:
        """Be the only writer: read what stands, decide, and write in the block.

        Errors: whatever the block raises; Transient, also when another writer was quicker: nothing was written then; Fatal.
        """
        with self._turn:
            topics.answering(self._connection)
            topics.ensure_control(self._connection)
            writer = TransactionalWriter(self._connection, self._id)
            try:
                writer.init()
                yield writer
            except Fenced as error:
                raise Transient(f"{self._overtaken}: try again ({error})") from error
            finally:
                writer.close()
