"""Says what another version of a dataset file would make of the newest staged rows. Writes nothing else.

Both versions get the same rows, and the reference data as it is when each begins.
"""

import json
import logging
import queue
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import Producer

from headrace.contract import Contract
from headrace.errors import HeadraceError, Transient
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.decode import Decoder
from headrace.stream.kafka import Connection, Questions, Replay
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset
from headrace.stream.stage import Stage
from headrace.transform.back_test import BackTest
from headrace.transform.engine import Engine
from services.transformer.adapters.trials import OpenStage
from services.transformer.core.newest import after, newest, records

log = logging.getLogger(__name__)

GROUP: Final = "headrace.transformer.back-tests"
_MOST_WAITING: Final = 8
_POLL_S: Final = 0.2
_STOP_S: Final = 10.0

Part = tuple[str, dict[str, Any]]


class BackTests:
    """Takes back-tests (`Questions`) once the datasets are known; one at a time, so that the stream keeps its share."""

    def __init__(self, connection: Connection, registry: Registry, open_stage: OpenStage, memory_limit: str) -> None:
        self._connection = connection
        self._controls = Controls(registry)
        self._decoder = Decoder(registry)
        self._open_stage = open_stage
        self._memory_limit = memory_limit
        self._datasets: Mapping[str, LiveDataset] = {}
        self._questions = Questions(connection, self._controls, topics.BACK_TESTS, GROUP, self._take)
        self._waiting: queue.Queue[tuple[Producer, dict[str, Any]]] = queue.Queue(_MOST_WAITING)
        self._stopping = threading.Event()
        # Not the thread of the questions: a back-test takes longer than a consumer may be silent.
        self._worker = threading.Thread(target=self._work, name="back-tests", daemon=True)

    def learn(self, datasets: Mapping[str, LiveDataset]) -> None:
        """Note which datasets there are."""
        self._datasets = dict(datasets)
        if self._worker.ident is None:
            self._worker.start()
            self._questions.start()

    def close(self) -> None:
        """Stop. The back-test that is under way ends with the batch it is at, and its asker is told."""
        self._stopping.set()
        if self._worker.ident is not None:
            self._worker.join(_STOP_S)
        self._questions.close()

    def _take(self, producer: Producer, requests: Sequence[dict[str, Any]]) -> None:
        for request in requests:
            try:
                self._waiting.put_nowait((producer, request))
                self._send(producer, request, "progress", {"rows": 0, "of": request["rows"]})
            except queue.Full:
                self._send(producer, request, "failure", {"message": "too many back-tests wait; try again later"})

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                producer, request = self._waiting.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            try:
                self._answer(producer, request)
            except Exception:
                log.exception("a back-test could not be answered", extra={"dataset": request["dataset"]})

    def _answer(self, producer: Producer, request: dict[str, Any]) -> None:
        """Send the parts of an answer, the last whatever happens. Errors: Transient, when it cannot be sent."""
        try:
            log.info("a back-test for %s", request["by"], extra={"dataset": request["dataset"]})
            for kind, body in self._parts(request):
                self._send(producer, request, kind, body)
        except HeadraceError as error:
            self._send(producer, request, "failure", {"message": str(error)})
        except BaseException as error:  # a panic of native code is not an Exception; whoever asks is to hear of it
            log.exception("a back-test failed", extra={"dataset": request["dataset"]})
            said = f"it failed ({type(error).__name__}: {error}); see the transformer's log"
            self._send(producer, request, "failure", {"message": said})

    def _parts(self, request: dict[str, Any]) -> Iterator[Part]:
        """Errors: HeadraceError."""
        self._check(request)
        live = self._datasets.get(request["dataset"])
        if live is None:
            raise Transient(f"{request['dataset']} is not live here yet; try again")
        other = replace(live, contract=Contract.from_json(request["document"]), version=live.version + 1)
        with ExitStack() as opened:
            before, after = (self._opened(opened, version) for version in (live, other))
            test = BackTest(before, after, opened.enter_context(closing(Engine(self._memory_limit))))
            left_out = yield from self._tested(request, test)
        yield "report", {"version": live.version, "left_out": left_out, **test.report()}

    def _check(self, request: dict[str, Any]) -> None:
        """Whether it is worth going on. Errors: Transient."""
        if self._stopping.is_set():
            raise Transient("the transformer is being stopped; try again")
        if request["until"] < datetime.now(UTC):
            raise Transient("it takes longer than anybody waits; ask for fewer rows")

    def _opened(self, until: ExitStack, version: LiveDataset) -> Stage:
        """The stage of a version, given back at the end. Errors: HeadraceError."""
        stage, give_back = self._open_stage(version)
        until.callback(give_back)
        return stage

    def _tested(self, request: dict[str, Any], test: BackTest) -> Generator[Part, None, int]:
        """Put the newest rows to both versions. Returns how many of those that were asked for are too many, about."""
        with closing(Replay(self._connection, topics.staged(request["dataset"]))) as replay:
            marks = replay.watermarks()
            if (since := request.get("since")) is not None:  # questions of an earlier version have none
                marks = after(marks, replay.since(since))
            replay.seek(newest(marks, request["rows"]))
            about = min(records(marks), request["rows"])
            for read in replay.advance():
                batches, _ = self._decoder(read)  # what cannot be read is no matter of a version
                for batch in batches:
                    self._check(request)
                    test.add(batch)
                yield "progress", {"rows": test.rows, "of": max(about, test.rows)}
            return records(marks) - about if since is not None else 0

    def _send(self, producer: Producer, request: dict[str, Any], kind: str, body: dict[str, Any]) -> None:
        record = {"request": request["id"], "kind": kind, "body": json.dumps(body, default=str, ensure_ascii=False)}
        value = self._controls.encode("back_test_answer", record)
        producer.produce(topics.BACK_TEST_ANSWERS, value, request["id"].encode())
        producer.poll(0)
