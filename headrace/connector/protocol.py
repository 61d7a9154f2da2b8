"""What a connector is: it can be checked, it can say what it offers, and it reads on from a position."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Semaphore
from typing import Literal, Protocol, runtime_checkable

import pyarrow as pa
from pydantic import SecretStr

from headrace.connector.limits import Limits
from headrace.connector.targets import Targets
from headrace.errors import Fatal, HeadraceError, Transient


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source row that cannot become a record: its own bytes, why, and where it was read.

    `reason` is a code of `headrace.stream.reasons`; `source` is for a person, such as `flights.csv:17`. `fields` are the texts
    by column, as a JSON object, where the bytes alone do not tell them. `behind` says how many of the rows of its step stand in
    front of it, where that is known.
    """

    raw: bytes
    reason: str
    detail: str
    source: str
    column: str | None = None
    fields: str | None = None
    behind: int | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one step of reading brought: rows of one schema, and the source rows that could not join them."""

    rows: pa.RecordBatch
    rejected: tuple[SourceRow, ...] = ()

    @property
    def rows_read(self) -> int:
        """Source rows, all fates."""
        return int(self.rows.num_rows) + len(self.rejected)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a connector tried in `check`: `resolve`, `connect`, `authenticate`, `list`, `read` ...

    `message` is what was found, in the source's own words where it has any; `field` is the path in the dataset file
    that is at fault, and `remedy` what to do.
    """

    name: str
    ok: bool
    message: str
    field: str | None = None
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """A set of rows a source offers. `cursors` are the columns that reading can resume by.

    One that is yet to be chosen has no columns, and says what it is: `kind`, such as table or view, `namespace`, such as the
    schema it is in, and `rows`, the source's own estimate.
    """

    name: str
    schema: pa.Schema
    keys: tuple[str, ...] = ()
    cursors: tuple[str, ...] = field(default=())
    kind: str = ""
    namespace: str = ""
    rows: int | None = None


def no_secrets(name: str) -> SecretStr:
    """Knows none. Errors: LookupError."""
    raise LookupError(name)


def keeps_no_secrets(name: str, value: SecretStr) -> None:
    """Keeps none. Errors: Fatal."""
    del value
    raise Fatal(f"the new value of the secret {name} cannot be kept here")


@dataclass(frozen=True, slots=True)
class KafkaConnect:
    """A worker of Kafka Connect. `secrets` is a folder in which it finds the passwords that are left there for it."""

    url: str
    secrets: Path


@dataclass(frozen=True, slots=True)
class WarehouseAccess:
    """The warehouse, for who may only read it, and how much one query may take. `spool` is a folder for its result,
    `turns` are as many as queries may run at once.

    Units: seconds, bytes, rows.
    """

    url: str
    user: str
    password: SecretStr
    timeout_s: int
    memory_bytes: int
    most_rows: int
    spool: Path
    turns: Semaphore | None = None


class Holdings(Protocol):
    """What is on record of things that a source keeps outside of Headrace, so that they can be taken away when it is gone."""

    def made(self, name: str) -> Collection[str] | None:
        """What Headrace made of what is kept under this name; None when it is not on record.

        Errors: Transient, also while it is being taken away: nothing may be set up under the name meanwhile.
        """
        ...

    def note(self, name: str, made: Collection[str]) -> None:
        """Put something on record, before it is set up. It stands when this returns. Errors: Transient, Fatal."""
        ...

    def forget(self, name: str) -> None:
        """Take something off the record, once it is taken away. Errors: Transient, Fatal."""
        ...


class HoldingsInMemory:
    """Holdings that nobody else knows of."""

    def __init__(self) -> None:
        self._made: dict[str, Collection[str]] = {}

    def made(self, name: str) -> Collection[str] | None:
        """See `Holdings.made`."""
        return self._made.get(name)

    def note(self, name: str, made: Collection[str]) -> None:
        """See `Holdings.note`."""
        self._made[name] = made

    def forget(self, name: str) -> None:
        """See `Holdings.forget`."""
        self._made.pop(name, None)


class Upstreams(Protocol):
    """The datasets that a source reads in the warehouse. Errors of all methods: Transient."""

    def begin(self) -> datetime:
        """Note what there is now, the first time since `end`; returns when that was."""
        ...

    def awaited(self) -> Collection[str]:
        """What of that is still on its way to the warehouse, for a person."""
        ...

    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        """What a query sees from now on: what there was at `begin`, and of what is loaded in runs the run that shows."""
        ...

    def shows(self) -> Mapping[str, Sequence[int]]:
        """Of each that is loaded in runs: the numbers that the condition of its view has to consist of, in their order.

        That a run shows is told first, and the view follows.
        """
        ...

    def end(self) -> None:
        """Forget what was noted."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a connector is told beside its own settings. Units: rows, seconds.

    `schema` is that of the rows published so far, which only grows at its end; None before the first. The types of
    `declared` columns are not guessed; `declares_all` says that there may be no others. `secret` gives the credential of a
    name; it raises LookupError when nobody has set it. `keep_secret` replaces one, such as a refresh token that was
    rotated, and returns once that is durable. `targets` says which hosts may be reached: whoever opens a connection asks it
    first. `kafka` are the properties of a client (librdkafka's) of the platform's own brokers, `registry_url` is their schema
    registry, `connect` their Kafka Connect, where there is one. `limits` is how much a source file may become. `holdings` is
    told of what is set up outside of Headrace (`SourceSettings.holds`). `warehouse` is for sources that read datasets,
    `upstreams` says of those whether all is there; None when nobody has to wait. `whole` says that the rows of one reading
    replace those of the last: a source that is found to be another one half way must not be read on (`SourceChanged`).
    `key` are the columns by which a row replaces the one before it; none where all stay.
    """

    dataset: str
    schema: pa.Schema | None = None
    declared: Mapping[str, pa.DataType] = field(default_factory=dict)
    declares_all: bool = False
    evolution: Literal["evolve", "freeze", "discard", "quarantine"] = "evolve"
    batch_rows: int = 20_000
    settle_s: float = 2.0
    folder: Path = Path()
    further_folders: Sequence[Path] = ()
    secret: Callable[[str], SecretStr] = no_secrets
    keep_secret: Callable[[str, SecretStr], None] = keeps_no_secrets
    targets: Targets = field(default_factory=Targets)
    kafka: Mapping[str, str] = field(default_factory=dict)
    registry_url: str = ""
    connect: KafkaConnect | None = None
    limits: Limits = field(default_factory=Limits)
    holdings: Holdings = field(default_factory=HoldingsInMemory)
    warehouse: WarehouseAccess | None = None
    upstreams: Upstreams | None = None
    whole: bool = False
    key: tuple[str, ...] = ()


class Connector(Protocol):
    """A source of rows. Used by one thread at a time.

    Positions are opaque JSON text. Reading on from the position that came with a step gives the rows after
    that step and no others, in this process or another.
    """

    @property
    def waiting(self) -> bool:
        """Whether the last `read` left something that is not whole yet, such as a line that is being written."""
        ...

    def check(self) -> Iterator[Step]:
        """Try the source step by step, each given as it ends, stopping at the first that fails."""
        ...

    def discover(self) -> list[Stream]:
        """What the source offers. Errors: Transient, Fatal."""
        ...

    def read(self, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """The rows after `position` that are there now, in bounded steps. Errors: Transient, Fatal."""
        ...


@runtime_checkable
class Choosing(Protocol):
    """A connector of a source in which nothing is chosen yet: `discover` lists what there is, and nothing is read."""

    @property
    def setting(self) -> str:
        """What chooses, such as `source.table`."""
        ...


class SourceChanged(Transient):
    """What was read in part is no longer what it was, so the rest would not belong to it. A full load begins anew."""


class ReadingFailed(HeadraceError):
    """What is read now cannot be read, however often it is tried; a later run may find it mended. The run is given up."""


@runtime_checkable
class Dependent(Protocol):
    """A connector that reads other datasets, and waits for them."""

    @property
    def awaited(self) -> str:
        """What it waited for when it was last read, for a person; nothing when it did not wait."""
        ...

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        """What there was of each dataset when it was last read, or now, if it was not. Errors: Transient."""
        ...


@runtime_checkable
class Counting(Protocol):
    """A connector that can count its source without reading it, to compare a full load with."""

    def count(self) -> int | None:
        """How many rows there are in what was read, by the source's own account, if it has one. Errors: Transient, Fatal."""
        ...


@dataclass(frozen=True, slots=True)
class Stretch:
    """From a moment on, up to another, which is not in it. Both have a zone."""

    since: datetime
    until: datetime


@runtime_checkable
class Ranged(Protocol):
    """A connector that can read the rows of a stretch of time once more, whatever it has read before."""

    def read_range(self, stretch: Stretch, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """The rows whose cursor is in `stretch` and that stand behind `position`, which is one of this method; as they are now.

        At its end all are read, unless `waiting`. Errors: Transient; Fatal also when rows have no cursor in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Remnant:
    """Something that could not be taken away, why, and how a person does it by hand."""

    what: str
    why: str
    by_hand: str = ""

    def __str__(self) -> str:
        return f"{self.what} ({self.why})" + (f"; by hand: {self.by_hand}" if self.by_hand else "")


@runtime_checkable
class Leaving(Protocol):
    """A connector that can take away what it keeps outside of Headrace."""

    def leave(self, name: str, made: Collection[str]) -> Sequence[Remnant]:
        """Take away what is kept under a name; of what stood there before, only what is in `made`. May be called again.

        Returns what could not be taken away: each part is tried, whatever became of the others.
        """
        ...
