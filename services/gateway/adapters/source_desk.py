"""Asks ingest about a source over Kafka, and hands on the parts of the answer as they come."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from confluent_kafka import Consumer, KafkaException, TopicPartition

from headrace.contract import Contract
from headrace.errors import Fatal, Transient
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.kafka.connection import mapped
from headrace.stream.kafka.writer import write_one

Act = Literal["check", "discover"]

_REPLY_S: Final = 5.0
_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """See `schemas/source_answer.avsc`."""

    kind: str
    body: dict[str, Any]


class SourceDesk:
    """Where questions about sources are asked."""

    def __init__(self, connection: Connection, controls: Controls) -> None:
        self._connection = connection
        self._controls = controls

    def ask(self, act: Act, contract: Contract, by: str, patience_s: float) -> Iterator[AnswerPart]:
        """The parts of the answer; the last has the kind `end`.

        The question is asked before this returns. Errors: Transient when Kafka does not answer; while iterating,
        Transient when nobody answers in time.
        """
        question = secrets.token_hex(16)
        consumer = Consumer(
            self._connection.client(
                group_id="headrace-gateway-sources",  # required by the client, never joined
                enable_auto_commit=False,
                auto_offset_reset="latest",
                fetch_wait_max_ms=50,
            )
        )
        try:
            _, end = consumer.get_watermark_offsets(TopicPartition(topics.SOURCE_ANSWERS, 0), timeout=_REPLY_S)
            consumer.assign([TopicPartition(topics.SOURCE_ANSWERS, 0, end)])
            self._send(act, question, contract, by, patience_s)
        except KafkaException as error:
            consumer.close()
            raise mapped(error, "asking ingest about a source") from error
        except BaseException:
            consumer.close()
            raise
        return self._parts(consumer, question, time.monotonic() + patience_s)

    def _send(self, act: Act, question: str, contract: Contract, by: str, patience_s: float) -> None:
        record = {
            "id": question,
            "act": act,
            "dataset": contract.model_dump_json(by_alias=True, exclude_none=True),
            "by": by,
            "until": datetime.now(UTC) + timedelta(seconds=patience_s),
        }
        value = self._controls.encode("source_request", record)
        write_one(self._connection, topics.SOURCE_REQUESTS, value, question.encode(), _REPLY_S)

    def _parts(self, consumer: Consumer, question: str, deadline: float) -> Iterator[AnswerPart]:
        heard = False
        try:
            while time.monotonic() < deadline:
                part = self._next(consumer, question)
                if part is None:
                    continue
                heard = True
                yield part
                if part.kind == "end":
                    return
        finally:
            consumer.close()
        raise Transient(
            "the source takes too long; try again, or look at ingest's log"
            if heard
            else "no ingest answers; look whether it runs: headrace status"
        )

    def _next(self, consumer: Consumer, question: str) -> AnswerPart | None:
        message = consumer.poll(_POLL_S)
        if message is None or message.key() != question.encode():
            return None
        if (failure := message.error()) is not None:
            raise mapped(failure, "reading an answer about a source")
        with suppress(Fatal):
            record = self._controls.decode(message.value() or b"")
            return AnswerPart(record["kind"], json.loads(record["body"]))
        return None
