"""Rows that were set aside, and what is asked of them."""

from datetime import datetime
from typing import Any

from headrace.client.results.base import Result


class Cluster(Result):
    """Quarantined rows that share one cause."""

    stage: str
    reason: str
    rule: str | None = None
    column: str | None = None
    rows: int
    assigned: int = 0  # of them, to somebody


class Fingerprint(Cluster):
    """Quarantined rows that share one cause and one shape of the value at fault, such as `A9-9` for `AB12-7`."""

    shape: str | None = None
    first: datetime
    last: datetime
    examples: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    trend: tuple[int, ...] = ()  # rows in each of equal stretches of time, the last of which ends now


class Fingerprints(Result):
    """The rows that are set aside by what is wrong with them; `items` are the most frequent."""

    hours: int
    total: int
    items: tuple[Fingerprint, ...] = ()


class RowAct(Result):
    """One thing that happened to a quarantined row."""

    act: str  # quarantined, assigned, unassigned, refused, resubmitted, discarded or loaded
    row: str  # which quarantined row: one that comes back again is another one
    at: datetime | None = None  # of loaded it is not kept
    by: str | None = None
    because: str | None = None
    edit: str | None = None
    assigned_to: str | None = None
    stage: str | None = None
    version: int | None = None
    reason: str | None = None
    rule: str | None = None
    detail: str | None = None
    became: str | None = None  # of loaded: the raw record, partition:offset


class QuarantinedRow(Result):
    """A record that was set aside. Source: schemas/quarantined.avsc."""

    id: str
    dataset: str
    generation: int = 0
    version: int = 0
    stage: str
    reason: str
    detail: str = ""
    rule: str | None = None
    column: str | None = None
    topic: str | None = None
    partition: int = 0
    offset: int = -1
    raw_offset: int | None = None
    seq: int = 0
    schema_id: int | None = None
    value: str | None = None  # the input bytes, base64
    fields: str | dict[str, Any] | None = None  # the decoded record
    source: str | None = None
    quarantined_at: datetime | None = None
    state: str = "open"  # or resubmitted, discarded
    acted_by: str | None = None
    because: str | None = None
    acted_at: datetime | None = None
    edit: str | None = None  # JSON: set or patch
    request: str | None = None
    assigned_to: str | None = None


class QuarantinedRowInFull(QuarantinedRow):
    """A record that was set aside, and all that was ever done to it, in order."""

    acts: tuple[RowAct, ...] = ()


class Quarantine(Result):
    """The quarantined rows of a dataset: all of them by cause, and some of them in full."""

    total: int
    clusters: tuple[Cluster, ...] = ()
    items: tuple[QuarantinedRow, ...] = ()


class Verdict(Result):
    """What would become of rows that were tried."""

    fate: str  # loaded, filtered, quarantined, parked or refused
    reason: str | None = None
    detail: str = ""
    rows: int
    example: str


class QuarantineAsked(Result):
    """What was asked of quarantined rows; `request` is None of a dry run, and when there are no rows."""

    request: str | None
    rows: int
    clusters: tuple[Cluster, ...] = ()
    tried: int = 0  # of a dry run: how many of the rows
    verdicts: tuple[Verdict, ...] = ()


class Refused(Result):
    """Why rows were left as they are."""

    detail: str
    rows: int
    example: str


class QuarantineOutcome(Result):
    """What became of a request so far."""

    request: str
    resubmitted: int = 0
    discarded: int = 0
    assigned: int = 0
    unassigned: int = 0
    refused: int = 0
    refusals: tuple[Refused, ...] = ()

    @property
    def settled(self) -> int:
        """Rows that something became of."""
        return self.resubmitted + self.discarded + self.assigned + self.unassigned + self.refused
