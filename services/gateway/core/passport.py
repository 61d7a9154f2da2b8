"""Decides what became of a raw record, by what its dataset's topics, their readers, the warehouse and quarantine show.

A row keeps its partition from the raw topic to the warehouse, and its order in it; so a record's trail is the place in each
topic where its identity stands, and a stage has dealt with it when it has read past that place.

What the facts say depends on the order they were gathered in: how far the readers are, before what they wrote is looked for.
Then a record that was read and stands nowhere is one that was left out, and not one that was being written.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from services.gateway.core.conservation import SHARED

State = Literal[
    "loaded",
    "filtered",
    "quarantined",
    "parked",
    "resubmitted",
    "discarded",
    "in_flight",
    "superseded",
    "expired",
    "missing",
    "unknown",
]

_PLACE: Final = re.compile(r"(\d{1,9}):(\d{1,18})(?::(\d{1,9}))?")


class Place(NamedTuple):
    """Where a raw record stands in its topic: the identity of all that is made of it."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


def place_of(text: str) -> tuple[Place, int | None] | None:
    """The raw coordinates in PARTITION:OFFSET, with the row in PARTITION:OFFSET:SEQ; None when it is neither."""
    found = _PLACE.fullmatch(text)
    return (Place(int(found[1]), int(found[2])), int(found[3]) if found[3] else None) if found else None


@dataclass(frozen=True, slots=True)
class Found:
    """What a topic has of a raw record.

    `offsets` are those of the records made of it. `reaches_back` says that the topic still has what it had of records as old,
    `beyond` that it has a younger one: then all that was written with this one can be seen.
    """

    offsets: tuple[int, ...] = ()
    reaches_back: bool = True
    beyond: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A stage, and the topic it reads. `read` is up to which offset its group had committed, that one not included."""

    stage: str
    topic: str
    found: Found
    read: int
    undecided: bool = False  # whether a transaction was open on the topic

    @property
    def done(self) -> bool:
        """Whether the stage has dealt with all that stands there."""
        return bool(self.found.offsets) and self.read > self.found.offsets[-1]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one raw record. `steps` in the order of the flow, the first over the raw topic."""

    steps: Sequence[Step]
    rows: int = 0
    shown: int = 0
    quarantined: Sequence[str] = ()  # the state of each quarantined row: open, resubmitted or discarded
    waiting: bool = False  # whether its record is in the quarantine topic, and not in the table yet
    undecided: bool = False  # whether a transaction is open on the quarantine topic
    mode: str = "append"
    expires: bool = False
    parked: Mapping[str, Any] | None = None  # its record among those that wait, if it does
    released_ms: int | None = None  # when it had waited long enough, if it had; since the epoch
    in_doubt: bool = False  # whether it may have waited and gone on, and nothing tells of it any more
    existed: bool = True  # whether it is known to have been there: in the raw topic, or in the lake


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a raw record: in words, and at which stage."""

    state: State
    stage: str | None
    detail: str


def fate(known: Evidence) -> Fate:
    """What became of a raw record."""
    if known.rows:
        return _loaded(known)
    if known.quarantined:
        return _set_aside(known.quarantined)
    if known.waiting:
        return Fate("quarantined", None, "it was set aside; the loader has not put it into the quarantine table yet")
    if known.parked is not None:
        return _parked(known.parked)
    at = max((number for number, step in enumerate(known.steps) if step.found.offsets), default=None)
    return _nowhere(known) if at is None else _along(known, at)


def _loaded(known: Evidence) -> Fate:
    several = f"{known.rows} rows were made of it" if known.rows > 1 else "one row was made of it"
    hidden = known.rows - known.shown
    if hidden:
        several += f"; {hidden} of them not shown: the view shows another run"
    if known.quarantined:
        several += f"; {len(known.quarantined)} more set aside by the loader"
    return Fate("loaded", "loader", several)


def _set_aside(states: Sequence[str]) -> Fate:
    if "open" in states:
        return Fate("quarantined", None, "it was set aside; see why below")
    if "resubmitted" in states:
        return Fate("resubmitted", None, "it was set aside, and read anew as another raw record since")
    return Fate("discarded", None, "it was set aside, and given up since")


_UNTOLD: Final = Fate(
    "unknown", None, "it was left out, or waited for its parent and was replaced since: nothing tells any more which"
)


def _parked(record: Mapping[str, Any]) -> Fate:
    since, until = (record[name].isoformat(timespec="seconds") for name in ("since", "until"))
    wanted = f"{record['column']} '{record['wanted']}' is not known to {record['parent']}"
    return Fate("parked", "transformer", f"{wanted}: it waits for that since {since}, until {until} ({record['rule']})")


def _along(known: Evidence, at: int) -> Fate:
    """The fate of a record whose trail ends in the topic of one of the steps."""
    step = known.steps[at]
    if not step.done:
        return Fate("in_flight", step.stage, f"{step.stage} has not read it yet in {step.topic}")
    if at + 1 == len(known.steps):
        return _left_the_table(known)
    after = known.steps[at + 1]
    if not after.found.reaches_back:
        return _nowhere(known)
    if not after.found.beyond and (after.undecided or known.undecided):
        return Fate("in_flight", step.stage, f"{step.stage} has read it; what it wrote is just being committed")
    return _UNTOLD if known.in_doubt and step.stage == "transformer" else _left_out(step)


def _left_out(step: Step) -> Fate:
    if step.stage == "transformer":
        return Fate("filtered", "transformer", "the dataset's SQL left it out")
    return Fate("missing", step.stage, f"{step.stage} has read it and passed nothing on: see headrace ledger")


def _left_the_table(known: Evidence) -> Fate:
    if known.mode == "upsert":
        detail = "it was loaded; a newer row of its key took its place, or its key was deleted"
        return Fate("superseded", "loader", detail)
    if known.mode == "replace":
        return Fate("superseded", "loader", "it was loaded with a run that is not kept any more")
    if known.expires:
        return Fate("expired", "loader", "it was loaded, and dropped by the dataset's retention")
    return Fate(
        "missing", "loader", "the loader has read it, and the table does not have it: was it taken out by hand?"
    )


def _nowhere(known: Evidence) -> Fate:
    """The topics behind its last trace no longer reach back to it. The last one keeps everything that ever was passed on."""
    if known.in_doubt:
        return _UNTOLD
    last = known.steps[-1]
    existed = known.existed or any(step.found.offsets for step in known.steps)
    if existed and last.found.reaches_back and last.found.beyond:
        return Fate("filtered", "transformer", "by now only this tells: it was neither passed on nor set aside")
    return Fate("unknown", None, "the topics no longer reach back to it, and nothing else tells of it")


@dataclass(frozen=True, slots=True)
class Stamp:
    """That a stage dealt with the record, by its own books: the ledger entry of the transaction that did."""

    stage: str
    version: int
    generation: int
    instance: str
    committed_at: str
    from_offset: int
    to_offset: int
    rows_in: int
    filtered: Mapping[str, int] = field(default_factory=dict)


def stamped(entry: Mapping[str, Any], partition: int, generation: int, wanted: Mapping[str, int]) -> str | None:
    """The stage whose dealing with the record a ledger entry tells of; `wanted` is its input offset by stage."""
    stage: str = entry["stage"]
    offset = wanted.get(stage)
    ours = offset is not None and entry["partition"] == partition
    ours = ours and (entry["generation"] == generation or stage in SHARED)
    return stage if ours and entry["from_offset"] <= (offset or 0) <= entry["to_offset"] else None


def sole_rule(stamps: Iterable[Stamp], *, waited: bool = False) -> str | None:
    """The rule that dropped the record, where the books leave no choice.

    They tell of the transaction that read it: of one that `waited` then, another decided later.
    """
    if waited:
        return None
    rules = {rule for stamp in stamps if stamp.stage == "transformer" for rule in stamp.filtered}
    return rules.pop() if len(rules) == 1 else None


def likely_rule(
    stamps: Iterable[Stamp], by_sql: Iterable[str | None], *, waited: bool = False
) -> tuple[str | None, list[str]]:
    """The rule that dropped the record where the books do not tell, or else those that may have.

    `by_sql` is the rule by which each version drops it that may have decided; None where one does not.
    """
    rules = {rule for rule in by_sql if rule is not None}
    if len(rules) == 1:
        return rules.pop(), []
    return None, sorted(rules if waited else {name for stamp in stamps for name in stamp.filtered})


def schema_fields(avro: str) -> list[dict[str, Any]]:
    """The fields of a record's schema: name, and type as Avro writes it; none of a schema that is none for records."""
    try:
        schema = json.loads(avro)
    except ValueError:
        return []
    fields = schema.get("fields", []) if isinstance(schema, dict) else []
    return [{"name": each["name"], "type": each["type"]} for each in fields]


def by_place(rows: Iterable[Sequence[int]], most: int) -> dict[Place, list[int]]:
    """Rows (`_partition`, `_offset`, `_seq`) by the raw record they were made of: the first so many of those, in order."""
    found: dict[Place, list[int]] = {}
    for partition, offset, seq in rows:
        place = Place(partition, offset)
        if place in found or len(found) < most:
            found.setdefault(place, []).append(seq)
    return found
