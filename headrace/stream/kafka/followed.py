"""A compacted control topic kept in memory: the latest record of every key."""

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from headrace.errors import Fatal
from headrace.stream.kafka.connection import Connection
from headrace.stream.kafka.replay import Replay

log = logging.getLogger(__name__)

T = TypeVar("T")


class Followed(Generic[T]):
    """Reads a topic from its beginning, and remembers the last value of each key. One thread at a time.

    `state` is in the order of those last values.
    """

    def __init__(self, connection: Connection, topic: str, decode: Callable[[bytes], T]) -> None:
        self._topic = topic
        self._decode = decode
        self._replay = Replay(connection, topic)
        self.state: dict[str, T] = {}
        self.unreadable: set[str] = set()  # the keys whose last record says nothing

    def refresh(self) -> set[str]:
        """Read on to the present end of the topic. Returns the keys that changed. Errors: Transient (it is read again)."""
        changed: set[str] = set()
        for records in self._replay.advance():
            for key, value, offset in zip(
                records.keys, records.values, records.offset.to_numpy().tolist(), strict=True
            ):
                changed |= self._remember((key or b"").decode(errors="replace"), value, offset)
        return changed

    def close(self) -> None:
        """Stop following."""
        self._replay.close()

    def _remember(self, key: str, value: bytes | None, offset: int) -> set[str]:
        """Keep the record. One that cannot be read changes nothing: its key keeps the value it had."""
        try:
            if value is None:
                self.state.pop(key, None)
            else:
                latest = self._decode(value)
                self.state.pop(key, None)
                self.state[key] = latest
        except (Fatal, ValueError):
            log.exception("%s has an unreadable record for %s at offset %s", self._topic, key, offset)
            self.unreadable.add(key)
            return set()
        self.unreadable.discard(key)
        return {key}
