"""Asks the transformer what another version of a dataset file would make of the newest rows."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from headrace.contract import Contract
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from services.gateway.adapters.inquiry import Inquiry, Part

_INQUIRY: Final = Inquiry(
    "the transformer",
    "the back-test",
    topics.BACK_TESTS,
    "back_test",
    topics.BACK_TEST_ANSWERS,
    "back_test_answer",
    frozenset({"report", "failure"}),
    first_s=30.0,
)


class BackTestDesk:
    """Where back-tests are asked for."""

    def __init__(self, connection: Connection, controls: Controls) -> None:
        self._connection = connection
        self._controls = controls

    def ask(self, contract: Contract, rows: int, since: datetime | None, by: str, patience_s: float) -> Iterator[Part]:
        """The parts of the answer (`schemas/back_test_answer.avsc`). Errors: see `Inquiry.ask`.

        Over so many of the newest rows, at most so many of those that were staged `since`.
        """
        document = contract.canonical_json()
        record = {"dataset": contract.dataset, "document": document, "rows": rows, "since": since, "by": by}
        return _INQUIRY.ask(self._connection, self._controls, record, patience_s)
