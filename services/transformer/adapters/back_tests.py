"""Says what another version of a dataset file would make of the newest staged rows. Writes nothing else.

Both versions get the same rows, and the reference data as it is now.
"""

import json
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import Producer

from headrace.contract import Contract
from headrace.errors import Fatal, HeadraceError, Transient
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
from services.transformer.core.newest import newest

log = logging.getLogger(__name__)

GROUP: Final = "headrace.transformer.back-tests"

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
        self._questions = Questions(connection, topics.BACK_TESTS, GROUP, self._take)
        self._turn = threading.Lock()

    def learn(self, datasets: Mapping[str, LiveDataset]) -> None:
        """Note which datasets there are."""
        self._datasets = dict(datasets)
        self._questions.start()

    def close(self) -> None:
        """Stop. A back-test that is under way is left: who asked hears nothing more."""
        self._questions.close()

    def _take(self, producer: Producer, values: Sequence[bytes]) -> None:
        for value in values:
            try:
                request = self._controls.decode(value)
            except Fatal:
                log.exception("a back-test cannot be read")
                continue
            # Not here: it takes longer than a consumer may be silent.
            asked = (producer, request)
            threading.Thread(target=self._answer, args=asked, name="back-test", daemon=True).start()

    def _answer(self, producer: Producer, request: dict[str, Any]) -> None:
        """Send the parts of an answer when it is its turn. The last is sent whatever happens."""
        with self._turn:
            try:
                log.info("a back-test for %s", request["by"], extra={"dataset": request["dataset"]})
                for kind, body in self._parts(request):
                    self._send(producer, request, kind, body)
            except HeadraceError as error:
                self._send(producer, request, "failure", {"message": str(error)})
            except Exception as error:  # whoever asks is to hear of it
                log.exception("a back-test failed", extra={"dataset": request["dataset"]})
                said = f"it failed ({type(error).__name__}: {error}); see the transformer's log"
                self._send(producer, request, "failure", {"message": said})

    def _parts(self, request: dict[str, Any]) -> Iterator[Part]:
        """Errors: HeadraceError."""
        live = self._datasets.get(request["dataset"])
        if live is None:
            raise Transient(f"{request['dataset']} is not live here yet; try again")
        other = replace(live, contract=Contract.from_json(request["document"]), version=live.version + 1)
        with ExitStack() as opened:
            before, after = (self._opened(opened, version) for version in (live, other))
            test = BackTest(before, after, opened.enter_context(closing(Engine(self._memory_limit))))
            yield from self._tested(request, test)
        yield "report", {"version": live.version, **test.report()}

    def _opened(self, until: ExitStack, version: LiveDataset) -> Stage:
        """The stage of a version, given back at the end. Errors: HeadraceError."""
        stage, give_back = self._open_stage(version)
        until.callback(give_back)
        return stage

    def _tested(self, request: dict[str, Any], test: BackTest) -> Iterator[Part]:
        """Put the newest rows to both versions."""
        with closing(Replay(self._connection, topics.staged(request["dataset"]))) as replay:
            marks = replay.watermarks()
            starts = newest(marks, request["rows"])
            replay.seek(starts)
            about = sum(marks[number][1] - start for number, start in starts.items())
            for records in replay.advance():
                if request["until"] < datetime.now(UTC):
                    raise Transient("it takes longer than anybody waits; ask for fewer rows")
                batches, _ = self._decoder(records)  # what cannot be read is no matter of a version
                for batch in batches:
                    test.add(batch)
                yield "progress", {"rows": test.rows, "of": max(about, test.rows)}

    def _send(self, producer: Producer, request: dict[str, Any], kind: str, body: dict[str, Any]) -> None:
        record = {"request": request["id"], "kind": kind, "body": json.dumps(body, default=str)}
        value = self._controls.encode("back_test_answer", record)
        producer.produce(topics.BACK_TEST_ANSWERS, value, request["id"].encode())
        producer.poll(0)
