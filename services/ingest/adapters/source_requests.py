"""Answers questions about sources that nothing has been saved of yet, as they come in over their topic.

A question whose asker has gone is left.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from confluent_kafka import Producer

from headrace.connector import Connector
from headrace.contract import Contract
from headrace.contract.loading import validated
from headrace.errors import HeadraceError
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Questions
from headrace.stream.registry import Registry
from services.ingest.core.inspection import Part, inspected

log = logging.getLogger(__name__)

GROUP: Final = "headrace.ingest.source-requests"
_AT_ONCE: Final = 4


class SourceRequests:
    """Takes its questions in turn (`Questions`). `connect` opens the source of a dataset file as ingest would."""

    def __init__(self, connection: Connection, registry: Registry, connect: Callable[[Contract], Connector]) -> None:
        self._controls = Controls(registry)
        self._connect = connect
        self._questions = Questions(connection, self._controls, topics.SOURCE_REQUESTS, GROUP, self._take)
        self._turn = threading.Semaphore(_AT_ONCE)

    def start(self) -> None:
        """Begin to answer."""
        self._questions.start()

    def close(self) -> None:
        """Stop. Answers that are under way are left: their askers hear nothing more."""
        self._questions.close()

    def _take(self, producer: Producer, requests: Sequence[dict[str, Any]]) -> None:
        for request in requests:
            # A daemon: a source that does not answer must not keep the process from ending.
            asked = (producer, request)
            threading.Thread(target=self._answer, args=asked, name="source request", daemon=True).start()

    def _answer(self, producer: Producer, request: dict[str, Any]) -> None:
        """Send the parts of an answer, when it is its turn."""
        with self._turn:
            self._answer_now(producer, request)

    def _answer_now(self, producer: Producer, request: dict[str, Any]) -> None:
        """The last part is sent whatever happens."""
        ended = False
        try:
            contract = validated(json.loads(request["dataset"]), looking=True)
            log.info("%s of a source for %s", request["act"], request["by"], extra={"dataset": contract.dataset})
            for part in inspected(
                partial(self._connect, contract), time.monotonic, discover=request["act"] == "discover"
            ):
                self._send(producer, request["id"], part)
                ended = part.kind == "end"
        except HeadraceError as error:
            self._failed(producer, request["id"], str(error))
        except Exception as error:  # a library of the source's: whoever asks is to hear of it
            log.exception("looking at a source failed")
            self._failed(
                producer, request["id"], f"looking at the source failed ({type(error).__name__}); see ingest's log"
            )
        finally:
            if not ended:
                self._send(producer, request["id"], Part("end", {"ok": False, "took_s": None}))

    def _failed(self, producer: Producer, request: str, said: str) -> None:
        body = {"name": "open", "ok": False, "message": said, "field": "source", "remedy": "", "took_s": None}
        self._send(producer, request, Part("step", body))

    def _send(self, producer: Producer, request: str, part: Part) -> None:
        record = {"request": request, "kind": part.kind, "body": json.dumps(part.body, default=str)}
        producer.produce(topics.SOURCE_ANSWERS, self._controls.encode("source_answer", record), request.encode())
        producer.poll(0)
