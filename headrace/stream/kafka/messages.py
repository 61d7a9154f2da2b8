"""Turns the client's messages into records, with as few Python calls a message as there can be."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
from confluent_kafka import Message

from headrace.stream.stage import Records


def records_of(topic: str, messages: Sequence[Message]) -> Records:
    """The records in `messages`, none of which is an error, in their order."""
    return Records(
        topic,
        _integers(map(Message.partition, messages), np.int32, len(messages)),
        _integers(map(Message.offset, messages), np.int64, len(messages)),
        _integers(map(itemgetter(1), map(Message.timestamp, messages)), np.int64, len(messages)),
        list(map(Message.key, messages)),
        list(map(Message.value, messages)),
    )


def _integers(values: Any, kind: type[np.integer[Any]], count: int) -> Any:
    return pa.array(np.fromiter(values, kind, count))
