"""Asks ingest about a source that nothing was saved of yet."""

from collections.abc import Iterator
from typing import Final, Literal

from headrace.contract import Contract
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from services.gateway.adapters.inquiry import Inquiry, Part

Act = Literal["check", "discover"]

_INQUIRY: Final = Inquiry(
    "ingest",
    "the source",
    topics.SOURCE_REQUESTS,
    "source_request",
    topics.SOURCE_ANSWERS,
    "source_answer",
    frozenset({"end"}),
)


class SourceDesk:
    """Where questions about sources are asked."""

    def __init__(self, connection: Connection, controls: Controls) -> None:
        self._connection = connection
        self._controls = controls

    def ask(self, act: Act, contract: Contract, by: str, patience_s: float) -> Iterator[Part]:
        """The parts of the answer (`schemas/source_answer.avsc`); the last has the kind `end`. Errors: see `Inquiry.ask`."""
        document = contract.model_dump_json(by_alias=True, exclude_none=True)
        record = {"act": act, "dataset": document, "by": by}
        return _INQUIRY.ask(self._connection, self._controls, record, patience_s)
