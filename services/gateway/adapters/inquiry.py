"""Asks a service something over a topic, and hands on the parts of its answer as they come."""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from headrace.errors import Fatal, Transient
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.kafka.writer import write_one
from services.gateway.adapters.answers import Answers

_REPLY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an answer: its `kind`, and what it says."""

    kind: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What can be asked of a service. `question` and `answer` are kinds of control records, `last` the kinds of last parts."""

    who: str
    what: str
    topic: str
    question: str
    answer_topic: str
    answer: str
    last: frozenset[str]
    first_s: float | None = None  # within which a sign of life comes, where one is sent at once

    def ask(
        self, connection: Connection, controls: Controls, record: Mapping[str, Any], patience_s: float
    ) -> Iterator[Part]:
        """The parts of the answer to a question, which gets its `id` and `until` here.

        It is asked before this returns. Errors: Transient when Kafka does not answer; while iterating, Transient when
        nobody answers in time.
        """
        question = secrets.token_hex(16)
        until = datetime.now(UTC) + timedelta(seconds=patience_s)
        answers = Answers(connection, self.answer_topic)
        try:
            value = controls.encode(self.question, {**record, "id": question, "until": until})
            write_one(connection, self.topic, value, question.encode(), _REPLY_S)
        except BaseException:
            answers.close()
            raise
        return self._parts(answers, controls, question, patience_s)

    def _parts(self, answers: Answers, controls: Controls, question: str, patience_s: float) -> Iterator[Part]:
        heard = False
        with answers:
            for value in answers.of(question, patience_s, self.first_s):
                with suppress(Fatal):
                    record = controls.decode(value)
                    heard = True
                    yield Part(record["kind"], json.loads(record["body"]))
                    if record["kind"] in self.last:
                        return
        raise Transient(
            f"{self.what} takes too long; try again, or look at the log of {self.who}"
            if heard
            else f"{self.who} does not answer; look whether it runs: headrace status"
        )
