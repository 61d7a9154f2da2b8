"""Puts the passport of a row together: from a row of the warehouse back to its raw record, and from there on to all it became.

The order of looking matters (`services.gateway.core.passport`): how far the stages have read first, then the topics, then the
warehouse.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from headrace.errors import Fatal
from headrace.stream import columns, topics
from headrace.stream.codec import schema_id_of
from headrace.stream.control import Controls
from headrace.stream.decode import Decoder
from headrace.stream.kafka import Connection
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.overrides import SKIPPED
from headrace.stream.registry import Registry
from headrace.stream.runs import Run
from services.gateway.accounts import read_by_stages
from services.gateway.adapters.control_fold import Slot
from services.gateway.adapters.dataset_store import DatasetStore
from services.gateway.adapters.lake import Lake
from services.gateway.adapters.override_store import OverrideStore
from services.gateway.adapters.progress import Progress, Reading
from services.gateway.adapters.published_rows import PublishedRows
from services.gateway.adapters.quarantine import Quarantine
from services.gateway.adapters.quarantine_sql import Chosen
from services.gateway.adapters.run_log import RunLog
from services.gateway.adapters.trail import RawRecord, Trail
from services.gateway.contributors import Contribution, Contributors
from services.gateway.core.contributing import typed
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.passport import (
    Evidence,
    Found,
    Place,
    Stamp,
    Step,
    by_place,
    fate,
    schema_fields,
)
from services.gateway.deciders import BOOKS_S, CLOCKS_MS, Deciders
from services.gateway.passport import NoRecordError, Passport, Schema, Seen, SetAside

_QUARANTINE_LOADER: Final = "quarantine_loader"
_MOST_EDITS: Final = 10
_MOST_QUARANTINED: Final = 100


@dataclass(frozen=True, slots=True)
class _Parked:
    """What the topic of parked records has of one: its record while it waits, and then when it was taken away."""

    record: Mapping[str, Any] | None = None
    released_ms: int | None = None
    read_whole: bool = True

    def forgotten(self, raw: RawRecord | None) -> bool:
        """Whether the record may have been in it, and it does not say so any more."""
        if self.record is not None or self.released_ms is not None:
            return False
        return not self.read_whole or raw is None or datetime.now(UTC) - raw.at > kafka_topics.PARKED_TOLD


class Passports:
    """Where passports are made. Errors of all it is asked: NoRecordError, Transient."""

    def __init__(
        self,
        connection: Connection,
        registry: Registry,
        controls: Controls,
        datasets: DatasetStore,
        progress: Progress,
        rows: PublishedRows,
        quarantine: Quarantine,
        lake: Lake,
        runs: RunLog,
        overrides: OverrideStore,
        contributors: Contributors,
    ) -> None:
        self._connection = connection
        self._registry = registry
        self._controls = controls
        self._datasets = datasets
        self._progress = progress
        self._rows = rows
        self._quarantine = quarantine
        self._lake = lake
        self._runs = runs
        self._contributors = contributors
        self._deciders = Deciders(controls, overrides)

    def of(self, dataset: DatasetVersion, place: Place, matched: Sequence[int] = (), told: int = 0) -> Passport:
        """The passport of a raw record, and of the rows that were made of it.

        `told` is how many contributing rows of each dataset it was made of are told, if it was made of others.
        """
        with closing(Trail(self._connection, Decoder(self._registry))) as trail:
            return self._passport(trail, dataset, place, matched, told)

    def matching(
        self, dataset: DatasetVersion, condition: str, most: int, told: int = 0
    ) -> tuple[list[Passport], bool]:
        """The passports of rows that meet a condition, at most so many, and whether there are more.

        Errors: also RefusedQueryError, QueryError.
        """
        found = by_place(self._rows.matching(dataset, condition), most + 1)
        with closing(Trail(self._connection, Decoder(self._registry))) as trail:
            each = [self._passport(trail, dataset, *item, told) for item in list(found.items())[:most]]
        return each, len(found) > most

    def _passport(
        self, trail: Trail, dataset: DatasetVersion, place: Place, matched: Sequence[int], told: int
    ) -> Passport:
        seen, evidence = self._looked(trail, dataset, place)
        became = fate(evidence)
        stamps = self._deciders.stamps(trail, dataset, place, seen.steps, _written_ms(seen))
        version = self._version(dataset, _version_of(seen, stamps))
        released_ms = evidence.released_ms
        rule, candidates = self._deciders.rule(
            became, stamps, version, seen.record, dataset if released_ms is not None else None
        )
        if (
            became.state == "filtered"
            and (skip := self._deciders.skip(dataset, place, stamps, released_ms)) is not None
        ):
            rule, candidates, became = SKIPPED, [], replace(became, detail=f"skipped by {skip.told}")
        schema, run = self._schema(seen), self._run(dataset, place)
        return Passport(
            dataset,
            place,
            became,
            rule,
            candidates,
            stamps,
            matched,
            seen,
            schema,
            self._edits(trail, dataset, seen),
            version,
            run,
            self._made_of(version or dataset, seen, schema, run, told) if told else [],
        )

    def _made_of(
        self, version: DatasetVersion, seen: Seen, schema: Schema | None, run: Run | None, told: int
    ) -> list[Contribution]:
        """The rows of other datasets that the record was made of. What its source gave tells them, not what became of that."""
        at_ms = _written_ms(seen)
        if at_ms is None:
            return []
        row = typed(seen.fields or {}, (schema.fields if schema is not None else None) or [])
        return self._contributors.of(version, row, datetime.fromtimestamp(at_ms / 1000, UTC), run, told)

    def _looked(self, trail: Trail, dataset: DatasetVersion, place: Place) -> tuple[Seen, Evidence]:
        """What is seen of a record, in the order that matters, and what that is evidence of."""
        contract = dataset.contract()
        if place.partition >= contract.partitions:
            last = contract.partitions - 1
            raise NoRecordError(f"{dataset.name} has the partitions 0 to {last}, not {place.partition}")
        readings = {stage: at for at, stage in read_by_stages(dataset).items() if at.partition == place.partition}
        committed = self._progress.committed(readings.values())
        parked_topic = topics.parked(dataset.name, dataset.generation)
        waits = kafka_topics.exists(self._connection, parked_topic)
        slots = {Slot(at.topic, at.partition) for at in readings.values()}
        parked_slot = Slot(parked_topic, place.partition)
        undecided = self._progress.undecided(slots | ({parked_slot} if waits else set()))
        record, first = self._record(trail, dataset, place)
        aside = readings.pop(_QUARANTINE_LOADER)
        steps = _steps(trail, place, record is not None, first, readings, committed, undecided)
        written_ms = record.timestamp_ms if record is not None else 0
        parked = self._parked(trail, parked_topic, place, written_ms) if waits else _Parked()
        if parked.released_ms is not None:
            steps = _after_waiting(trail, place, steps, parked.released_ms)
        rows = self._rows.made_of(dataset, place, steps[-1].found.offsets)
        in_runs = contract.load.mode == "replace"
        shown = self._rows.shown(dataset, place) if in_runs else {row[columns.SEQ] for row in rows}
        quarantined = self._set_aside(dataset, place)
        landed = self._lake.find(dataset.name, place, record.at if record is not None else None)
        seen = Seen(record, landed, steps, rows, shown, quarantined)
        if not seen.anything and first <= place.offset:
            raise NoRecordError(
                f"partition {place.partition} of {topics.raw(dataset.name)} has no record at offset {place.offset}: a "
                "transaction ended there, or what was written was not committed"
            )
        waiting = not rows and not quarantined and self._waits(trail, aside, committed[aside], place)
        return seen, Evidence(
            steps,
            len(rows),
            len(shown),
            [each.row["state"] for each in quarantined],
            waiting,
            Slot(aside.topic, aside.partition) in undecided or parked_slot in undecided,
            contract.load.mode,
            contract.retention is not None,
            parked=parked.record,
            released_ms=parked.released_ms,
            in_doubt=waits and parked.forgotten(record),
            existed=record is not None or landed.state == "landed",
        )

    def _record(self, trail: Trail, dataset: DatasetVersion, place: Place) -> tuple[RawRecord | None, int]:
        """The raw record, if its topic still has it, and the first offset that the topic has."""
        topic = topics.raw(dataset.name)
        low, high = trail.bounds(topic, place.partition)
        if place.offset >= high:
            raise NoRecordError(f"partition {place.partition} of {topic} ends in front of offset {high}")
        return (trail.record(topic, *place) if place.offset >= low else None), low

    def _parked(self, trail: Trail, topic: str, place: Place, written_ms: int) -> "_Parked":
        """What the topic of parked records says of a raw record, the last of which counts."""
        found, deadline = _Parked(), time.monotonic() + BOOKS_S
        first = trail.offset_at(topic, place.partition, written_ms - CLOCKS_MS)
        for message in trail.records_from(topic, place.partition, first, BOOKS_S) if first is not None else ():
            if message.key() != str(place).encode():
                continue
            if (value := message.value()) is None:
                found = _Parked(released_ms=message.timestamp()[1])
            else:
                found = _Parked(self._controls.decode(value))
        return replace(found, read_whole=time.monotonic() < deadline)

    def _waits(self, trail: Trail, reading: Reading, committed: int, place: Place) -> bool:
        """Whether a record's place in quarantine has not reached the table yet."""
        for message in trail.records_from(reading.topic, reading.partition, committed, BOOKS_S):
            try:
                entry = self._controls.decode(message.value() or b"")
            except Fatal:
                continue
            if entry["act"] == "quarantined" and (entry["partition"], entry["raw_offset"]) == place:
                return True
        return False

    def _set_aside(self, dataset: DatasetVersion, place: Place) -> list[SetAside]:
        found = self._quarantine.find(dataset.name, Chosen(raw=place, all=True), _MOST_QUARANTINED).items
        return [SetAside(row, self._became(dataset, row)) for row in found]

    def _became(self, dataset: DatasetVersion, row: Mapping[str, Any]) -> list[Place]:
        if row["state"] != "resubmitted":
            return []
        again = [
            Place(each["partition"], each["raw_offset"]) for each in self._quarantine.again(dataset.name, row["id"])
        ]
        return sorted({*self._rows.resubmitted(dataset, row["id"]), *again})

    def _version(self, dataset: DatasetVersion, version: int | None) -> DatasetVersion | None:
        if version is None or version == dataset.version:
            return dataset if version is not None else None
        return self._datasets.version(dataset.name, version)

    def _schema(self, seen: Seen) -> Schema | None:
        record, in_lake = seen.record, seen.landed.fields or {}
        schema_id = schema_id_of(record.value) if record is not None else in_lake.get(columns.SCHEMA_ID)
        if schema_id is None:
            return None
        avro = self._registry.schema(schema_id)
        return Schema(schema_id, None if avro is None else schema_fields(avro))

    def _edits(self, trail: Trail, dataset: DatasetVersion, seen: Seen) -> list[dict[str, Any]]:
        """The quarantined rows that the record was before, each with what was done about it; the last first."""
        told = [row.get(columns.QUARANTINE_ID) for row in [*seen.rows, seen.fields or {}]]
        row_id = next(filter(None, told), None)
        found: list[dict[str, Any]] = []
        while row_id and len(found) < _MOST_EDITS:
            partition, _, offset = row_id.partition("-")
            row = self._quarantine.get(dataset.name, (int(partition), int(offset)))
            if row is None:
                break
            found.append(row)
            row_id = self._before(trail, dataset, row)
        return found

    def _before(self, trail: Trail, dataset: DatasetVersion, row: Mapping[str, Any]) -> str | None:
        """Which quarantined row the record of a quarantined row was, if it was one."""
        if row["raw_offset"] is None:
            return None
        record = trail.record(topics.raw(dataset.name), row["partition"], row["raw_offset"])
        content = record.fields if record is not None else row["fields"]
        return (content or {}).get(columns.QUARANTINE_ID)

    def _run(self, dataset: DatasetVersion, place: Place) -> Run | None:
        """The full load that brought the record."""
        if dataset.contract().load.mode != "replace":
            return None
        runs = self._runs.history(dataset.name).runs
        return next((run for run in reversed(runs) if _of_run(run, place)), None)


def _steps(
    trail: Trail,
    place: Place,
    there: bool,
    first: int,
    readings: Mapping[str, Reading],
    committed: Mapping[Reading, int],
    undecided: set[Slot],
) -> list[Step]:
    """What each stage of the flow finds in front of it. In the raw topic the record's place is its identity."""

    def steps() -> Iterator[Step]:
        for stage, at in readings.items():
            if at.topic.endswith(".raw"):
                found = Found((place.offset,) if there else (), first <= place.offset, True)
            else:
                found = trail.find(at.topic, place.partition, place.offset)
            yield Step(stage, at.topic, found, committed[at], Slot(at.topic, at.partition) in undecided)

    return list(steps())


def _after_waiting(trail: Trail, place: Place, steps: Sequence[Step], released_ms: int) -> list[Step]:
    """The steps, with what was written of the record after it had waited: that stands behind what is younger."""
    since_ms = released_ms - CLOCKS_MS

    def step(known: Step) -> Step:
        if known.found.offsets or known.topic.endswith((".raw", ".staged")):
            return known
        found = trail.find_waited(known.topic, place.partition, place.offset, since_ms, BOOKS_S)
        return replace(known, found=found) if found.offsets else known

    return [step(known) for known in steps]


def _written_ms(seen: Seen) -> int | None:
    """When the raw record was written, in milliseconds since the epoch."""
    if seen.record is not None:
        return seen.record.timestamp_ms
    told = [row.get(columns.INGESTED_AT) for row in [*seen.rows, seen.landed.fields or {}]]
    at = next(filter(None, told), None)
    return None if at is None else int(datetime.fromisoformat(at).timestamp() * 1000)


def _version_of(seen: Seen, stamps: Sequence[Stamp]) -> int | None:
    """The version of the dataset file that decided about the record."""
    told = [*(row[columns.VERSION] for row in seen.rows), *(each.row["version"] for each in seen.quarantined)]
    transformed = [stamp.version for stamp in stamps if stamp.stage == "transformer"]
    return next(iter([*told, *transformed, *(stamp.version for stamp in stamps)]), None)


def _of_run(run: Run, place: Place) -> bool:
    if run.is_backfill or place.partition >= len(run.starts):
        return False
    ends = run.ends[place.partition] if run.ends else None
    return run.starts[place.partition] <= place.offset and (ends is None or place.offset < ends)
