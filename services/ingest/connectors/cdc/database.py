"""What is asked of a database beside Debezium: the table as it is, and what holds its changes for us."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from headrace.connector import Step


@dataclass(frozen=True, slots=True)
class Table:
    """What a database says of the table.

    `whole_deletes`: the log has all columns of a row that was deleted, not its key alone. `caution`: what to beware of.
    `unknown`: columns of types for which Debezium refuses the table.
    """

    columns: pa.Schema
    key: Sequence[str]
    whole_deletes: bool
    caution: str = ""
    unknown: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot. `lost`: the log that its reader would need is gone. Units: bytes of log."""

    active: bool
    lost: bool
    behind_bytes: int


class Log(Protocol):
    """What holds the changes for us until they are read. Errors: Transient, Fatal."""

    def slot(self, name: str) -> Slot | None:
        """The slot of this name, if there is one."""
        ...

    def published(self, name: str) -> bool:
        """Whether there is a publication of this name."""
        ...

    def drop(self, slot: str) -> None:
        """Drop the slot of this name, if there is one. One that is in use is Transient."""
        ...

    def unpublish(self, name: str) -> None:
        """Drop the publication of this name, if there is one."""
        ...


class Database(Protocol):
    """A database as its kind is asked. Errors: Transient, Fatal."""

    @property
    def log(self) -> Log | None:
        """What holds the changes; None where the database keeps them for a time, whoever has read them."""
        ...

    def table(self) -> Table | None:
        """The table; None when there is none that this user can see."""
        ...

    def logging(self) -> Step | None:
        """Whether the log has what a capture needs, and the user may read it; None where Debezium says so itself."""
        ...

    def behind(self, offset: Mapping[str, Any]) -> int | None:
        """How many bytes of log are behind the offset that Debezium noted; None where a slot says so, or nobody can.

        Errors: Fatal, too, when the log has what Debezium passes over.
        """
        ...
