"""What sources keep outside of Headrace, as `_headrace.source-holdings` tells it: how a record is written, and by whom.

It is on record before it is set up, and until all of it is taken away. All writers share one transactional id
(`SoleWriter`). See docs/decisions/0018-what-a-source-keeps-outside-is-on-record.md.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

from headrace.contract import Contract
from headrace.errors import Fatal
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Followed, SoleWriter, TransactionalWriter

_WRITER_ID: Final = "headrace-source-holdings"

State = Literal["held", "leaving", "abandoned"]


@dataclass(frozen=True, slots=True)
class Holding:
    """A record of `_headrace.source-holdings`. Fields: `schemas/source_holding.avsc`."""

    name: str
    dataset: str
    state: State
    at: datetime
    made: tuple[str, ...]
    document: str
    because: str = ""
    message: str = ""

    @property
    def contract(self) -> Contract:
        """The dataset file by which it was set up. Errors: ContractError when this Headrace cannot read it."""
        return Contract.from_json(self.document)

    def record(self) -> dict[str, Any]:
        """As it is encoded."""
        return {**asdict(self), "made": list(self.made)}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Holding":
        """As it was decoded; what a later version may have added is left out."""
        found = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        return cls(**{**found, "made": tuple(found["made"])})


#: Given what is on record by name, what becomes of one of them: None takes it off the record.
Decision = Callable[[Mapping[str, Holding]], Holding | None]


def followed_holdings(connection: Connection, controls: Controls) -> Followed[Holding]:
    """What is on record, by name, kept in step with its topic."""
    return Followed(connection, topics.SOURCE_HOLDINGS, lambda value: Holding.of(controls.decode(value)))


class HoldingLog:
    """The topic of holdings. Safe to share between threads."""

    def __init__(self, connection: Connection, controls: Controls) -> None:
        self._connection = connection
        self._controls = controls
        self._writer = SoleWriter(connection, _WRITER_ID, "what is kept for another source was noted at the same time")

    def standing(self) -> Mapping[str, Holding]:
        """What is on record, by name. Errors: Transient."""
        with closing(followed_holdings(self._connection, self._controls)) as followed:
            followed.refresh()
            return dict(followed.state)

    def change(self, name: str, decide: Decision) -> Holding | None:
        """Write what `decide` makes of what is on record, when that is something else; returns it.

        Errors: whatever `decide` raises (nothing is written); Transient, also when another writer was quicker; Fatal when
        the record cannot be read.
        """
        with self._writer.turn() as writer, closing(followed_holdings(self._connection, self._controls)) as followed:
            followed.refresh()
            if name in followed.unreadable:
                raise Fatal(f"the record of {name} in {topics.SOURCE_HOLDINGS} cannot be read; see the log")
            decided = decide(followed.state)
            if decided != followed.state.get(name):
                self._write(writer, name, decided)
            return decided

    def _write(self, writer: TransactionalWriter, name: str, holding: Holding | None) -> None:
        value = None if holding is None else self._controls.encode("source_holding", holding.record())
        with writer.transaction() as transaction:
            transaction.produce(topics.SOURCE_HOLDINGS, [value], keys=[name.encode()])
