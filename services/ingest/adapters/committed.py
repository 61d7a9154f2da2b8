"""Reads a control topic up to everything that was committed before the call.

A reader of committed records stops where the oldest open transaction of any writer starts, and calls that the end. What
this process must know (how far a source was read, which requests were accepted) may stand behind it, so the end is
asked for without isolation, and waited for.
"""

from typing import Final

from confluent_kafka import IsolationLevel

from headrace.stream.kafka import Connection, Replay

_OPEN_S: Final = 60.0


def committed(connection: Connection, topic: str) -> Replay:
    """The records of a topic. Reading on fails with Transient when an open transaction is in the way for too long."""
    return Replay(connection, topic, end=IsolationLevel.READ_UNCOMMITTED, timeout_s=_OPEN_S)
