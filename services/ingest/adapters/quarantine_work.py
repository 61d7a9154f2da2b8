"""Does one delivery of requests about quarantined rows, in one transaction. See `services.ingest.adapters.resubmission`."""

import base64
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import pyarrow as pa

from headrace.connector import Fetched
from headrace.errors import HeadraceError, Transient
from headrace.stream import topics
from headrace.stream.columns import ORIGIN_OFFSET
from headrace.stream.control import Controls
from headrace.stream.decode import Decoder
from headrace.stream.kafka import TransactionalWriter
from headrace.stream.ledger import Position
from headrace.stream.outputs import Messages
from headrace.stream.pump import Delivery
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset
from headrace.stream.stage import Records
from headrace.transform.isolate import RowError, isolate
from services.ingest.adapters.expressions import values_of
from services.ingest.adapters.mending import mending_of
from services.ingest.adapters.pinned import pinned_schema
from services.ingest.adapters.publisher import Publisher
from services.ingest.adapters.raw_topic import RawTopics
from services.ingest.adapters.row_age import origins
from services.ingest.core import books, rebuilding
from services.ingest.core.marks import Marks
from services.ingest.core.mending import beside
from services.ingest.core.partition import partition_of
from services.ingest.core.quarantine import (
    DISCARDED,
    FINAL,
    PASSED_ON,
    REFUSED,
    RESUBMITTED,
    TRIED,
    Age,
    Asked,
    Done,
    Edit,
    Fate,
    Rebuilt,
    may_be_deletion,
)
from services.ingest.core.quarantine_books import act_record, entries, quarantine_record
from services.ingest.core.types import declared_columns

log = logging.getLogger(__name__)

_PATIENCE: Final = timedelta(minutes=2)
_UNKNOWN: Final = "its record cannot be written"
_FORESEEN: Final = (HeadraceError, ValueError)

#: The (value, key, partition) of a row that is written anew, or why it is not.
Made = tuple[bytes, bytes | None, int] | str


class QuarantineWork:
    """What becomes of one delivery of requests."""

    def __init__(
        self,
        registry: Registry,
        controls: Controls,
        writer: TransactionalWriter,
        raw: RawTopics,
        instance: str,
    ) -> None:
        self._registry = registry
        self._controls = controls
        self._decoder = Decoder(registry)
        self._writer = writer
        self._raw = raw
        self._instance = instance

    def settle(self, delivery: Delivery, datasets: Mapping[str, LiveDataset], done: Done) -> None:
        """Decide and commit. Errors: Transient, Fenced (nothing stands), Fatal."""
        now = datetime.now(UTC)
        messages: list[Messages] = []
        fates: list[Fate] = []
        for name, asked in self._by_dataset(delivery.records).items():
            dataset = datasets.get(name)
            if dataset is None:
                unknown = [Fate(each, REFUSED, "ingest knows no such dataset") for each in asked if each.act != "try"]
                messages += self._messages(Position(name, 0, 0, books.STAGE, self._instance), unknown, [], now)
                continue
            _wait_for_version(dataset, asked, now)
            trials = [each for each in asked if each.act == "try"]
            messages += self._tried(*self._fates(dataset, trials, done)) if trials else []
            real = [each for each in asked if each.act != "try"]
            mine, values = self._fates(dataset, real, done)
            fates += mine
            position = Position(name, dataset.generation, dataset.version, books.STAGE, self._instance)
            messages += self._messages(position, mine, values, now)
        with self._writer.transaction() as transaction:
            for part in messages:
                transaction.produce(part.topic, part.values, partition=part.partition, keys=part.keys)
            transaction.send_offsets(delivery.records.topic, delivery.next_offsets, delivery.membership)
        for fate in fates:
            if fate.act in FINAL:
                done.add(fate.asked.dataset, fate.asked.row)
        counts = Counter(fate.act for fate in fates)
        log.info("quarantined rows: %s", ", ".join(f"{count} {act}" for act, count in counts.items()))

    def _by_dataset(self, records: Records) -> dict[str, list[Asked]]:
        """The requests of each dataset, in order. One that nobody can read is skipped: its row stays as it is."""
        found: dict[str, list[Asked]] = {}
        for value in records.values:
            try:
                asked = Asked.of(self._controls.decode(value or b""))
            except Transient:
                raise
            except Exception:
                log.exception("a quarantine request cannot be read")
                continue
            found.setdefault(asked.dataset, []).append(asked)
        return found

    def _fates(
        self, dataset: LiveDataset, asked: Sequence[Asked], done: Done
    ) -> tuple[list[Fate], list[tuple[bytes, bytes | None]]]:
        """What becomes of each row, and the (value, key) of those that are resubmitted, in order."""
        fates: list[Fate | None] = [None] * len(asked)
        seen: set[str] = set()
        fresh: dict[tuple[str | None, bool], list[int]] = {}
        for at, each in enumerate(asked):
            if (each.dataset, each.row) in done:
                fates[at] = Fate(each, REFUSED, "it has been resubmitted or discarded before")
            elif each.row in seen:
                fates[at] = Fate(each, REFUSED, "it was asked for just before; ask again if it is still open")
            elif each.act in PASSED_ON:
                fates[at] = Fate(each, PASSED_ON[each.act])
            elif each.act == "discard":
                seen.add(each.row)
                fates[at] = Fate(each, DISCARDED)
            elif (why := _unfit(dataset, each)) is not None:
                fates[at] = Fate(each, REFUSED, why)
            else:
                seen.add(each.row)
                fresh.setdefault((each.edit, each.stage == books.STAGE), []).append(at)
        written: dict[int, tuple[bytes, bytes | None]] = {}
        for (edit, of_source), places in fresh.items():
            make = partial(self._made, dataset, edit=edit, of_source=of_source)
            made = isolated(make, [asked[at] for at in places])
            for at, place in enumerate(places):
                found = made.get(at, _UNKNOWN)
                if isinstance(found, str):
                    fates[place] = Fate(asked[place], REFUSED, found)
                else:
                    value, key, target = found
                    written[place] = value, key
                    act = TRIED if asked[place].act == "try" else RESUBMITTED
                    fates[place] = Fate(asked[place], act, target=target)
        return [fate for fate in fates if fate is not None], [written[place] for place in sorted(written)]

    def _made(
        self, dataset: LiveDataset, asked: Sequence[Asked], *, edit: str | None, of_source: bool
    ) -> dict[int, Made]:
        """The (value, key, partition) of each row, or why there is none; by place in `asked`.

        Errors: Transient; whatever else a row can cause, see `isolated`.
        """
        contract, change = dataset.contract, Edit.of(edit)
        pinned = pinned_schema(self._registry, dataset)
        schema = pinned if pinned is not None else pa.schema(declared_columns(contract).items())
        if of_source:
            mending = mending_of(contract)
            pairs = [mending.parted(each.given) for each in asked]
            given = [each for each, _ in pairs]
            if edit is None:
                parts = mending.read(given, schema)
            else:
                found = rebuilding.of_source_rows(given, schema, mending.evolution, mending.nulls, change, values_of)
                parts = [found]
            parts = [beside(part, pairs) for part in parts]
            ages = [_age(each, marks) for each, (_, marks) in zip(asked, pairs, strict=True)]
        else:
            parts, ages = self._of_records(dataset, asked, schema, change)
        made: dict[int, Made] = {}
        for part in parts:
            made |= part.refused
            made |= self._written(dataset, asked, ages, part)
        return made

    def _of_records(
        self, dataset: LiveDataset, asked: Sequence[Asked], schema: pa.Schema, edit: Edit
    ) -> tuple[list[Rebuilt], list[Age]]:
        """Rows that have been records: as they were then where the raw or staged bytes are kept, else from the raw topic."""
        own = {topics.raw(dataset.name), topics.staged(dataset.name)}
        values: list[bytes | None] = [each.value if each.topic in own and each.value else None for each in asked]
        since = [each.quarantined_at for each in asked]
        sought = [at for at, value in enumerate(values) if value is None]
        for at in sought:
            if (offset := asked[at].raw_offset) is not None:
                found = self._raw.record(dataset.name, asked[at].partition, offset)
                values[at], since[at] = (found.value, found.at) if found is not None else (None, since[at])
        gone = {at: "its raw record is no longer in the raw topic" for at in sought if values[at] is None}
        there = [at for at in range(len(asked)) if at not in gone]
        records = Records.numbered(topics.raw(dataset.name), [values[at] for at in there])
        batches, failed = self._decoder(records)
        refused = gone | {there[each.row]: f"its record cannot be read: {each.detail}" for each in failed}
        ages = [Age(each.quarantined_at, each.raw_offset) for each in asked]
        parts = [Rebuilt(pa.RecordBatch.from_pylist([], schema=schema), [], refused)]
        for batch in batches:
            index = [there[at] for at in batch.raw.offset.to_numpy().tolist()]
            found_ages = rebuilding.ages_of(batch.rows, [asked[at] for at in index], [since[at] for at in index])
            for at, age in zip(index, found_ages, strict=True):
                ages[at] = age
            part = rebuilding.of_records(batch.rows, schema, edit, values_of)
            why = {index[at]: said for at, said in part.refused.items()}
            parts.append(Rebuilt(part.rows, [index[at] for at in part.index], why))
        return parts, ages

    def _written(
        self, dataset: LiveDataset, asked: Sequence[Asked], ages: Sequence[Age], part: Rebuilt
    ) -> dict[int, Made]:
        """Rows as the records that are written. Errors: Transient, Fatal."""
        made: dict[int, Made] = {}
        publisher = Publisher(dataset, self._registry, self._writer, self._instance)
        keys = publisher.keys(part.rows)
        partitions = dataset.contract.partitions
        targets = [
            asked[at].partition if keys is None else partition_of(keys[row], partitions)
            for row, at in enumerate(part.index)
        ]
        places: dict[int, int | str] = {}
        if dataset.contract.load.mode == "upsert":
            chosen, old = [asked[at] for at in part.index], [ages[at] for at in part.index]
            places = origins(self._raw, chosen, targets, old, keys or [None] * len(targets))
        made |= {part.index[row]: place for row, place in places.items() if isinstance(place, str)}
        marks = [place if isinstance(place := places.get(row), int) else None for row in range(len(targets))]
        own = [name for name in part.rows.schema.names if name != ORIGIN_OFFSET]
        rows = rebuilding.marked(part.rows.select(own), [asked[at].row for at in part.index], marks)
        whole = publisher.encoded(Fetched(rows))
        if whole.rejected:
            each = [publisher.encoded(Fetched(rows.slice(row, 1))) for row in range(len(rows))]
            values: list[bytes | str] = [one.values[0] if one.values else one.rejected[0].detail for one in each]
        else:
            values = list(whole.values)
        for row, at in enumerate(part.index):
            value = values[row]
            if at in made:
                continue
            made[at] = (
                value if isinstance(value, str) else (value, keys[row] if keys is not None else None, targets[row])
            )
        return made

    def _tried(self, fates: Sequence[Fate], values: Sequence[tuple[bytes, bytes | None]]) -> list[Messages]:
        """The records that would be written, for whoever knows what would become of them; of those that would not, why."""
        messages: list[Messages] = []
        left = iter(values)
        for fate in fates:
            asked, key = fate.asked, [fate.asked.request.encode()]
            if fate.act == REFUSED:
                said = {"request": asked.request, "row": asked.row, "fate": REFUSED, "detail": fate.detail}
                messages.append(Messages(topics.VERDICTS, [self._controls.encode("verdict", said)], key))
            else:
                value = base64.b64encode(next(left)[0]).decode()
                trial = {"request": asked.request, "dataset": asked.dataset, "row": asked.row, "value": value}
                messages.append(Messages(topics.TRIALS, [self._controls.encode("trial", trial)], key))
        return messages

    def _messages(
        self, position: Position, fates: Sequence[Fate], values: Sequence[tuple[bytes, bytes | None]], now: datetime
    ) -> list[Messages]:
        """Everything a transaction says of a dataset's rows, but the offsets."""
        name = position.dataset
        resubmitted = [fate for fate in fates if fate.act == RESUBMITTED]
        messages: list[Messages] = []
        sizes: dict[int, int] = {}
        for target in sorted({fate.target for fate in resubmitted}):
            mine = [pair for fate, pair in zip(resubmitted, values, strict=True) if fate.target == target]
            sizes[target] = sum(len(value) for value, _ in mine)
            messages.append(Messages(topics.raw(name), [value for value, _ in mine], [key for _, key in mine], target))
        for partition in sorted({fate.asked.partition for fate in fates}):
            said = [quarantine_record(position, fate, now) for fate in fates if fate.asked.partition == partition]
            encoded = [self._controls.encode("quarantined", record) for record in said]
            messages.append(Messages(topics.quarantine(name), encoded, None, partition))
        finished = [fate for fate in fates if fate.act in FINAL]
        acts = [self._controls.encode("quarantine_act", act_record(fate, now)) for fate in finished]
        messages.append(
            Messages(topics.QUARANTINE_ACTS, acts, [f"{name} {fate.asked.row}".encode() for fate in finished])
        )
        ledger = [asdict(entry) for entry in entries(position, finished, sizes, now)]
        booked = [self._controls.encode("ledger_entry", entry) for entry in ledger]
        messages.append(Messages(topics.LEDGER, booked, [name.encode()] * len(booked)))
        return messages


def _wait_for_version(dataset: LiveDataset, asked: Sequence[Asked], now: datetime) -> None:
    """Errors: Transient while rows are asked for by a version that is not known here yet; not for ever."""
    awaited = max((each.version for each in asked if each.asked_at and now - each.asked_at < _PATIENCE), default=0)
    if awaited > dataset.version:
        raise Transient(f"version {awaited} of {dataset.name} is not known here yet, only {dataset.version}")


def isolated(make: Callable[[Sequence[Asked]], Mapping[int, Made]], asked: Sequence[Asked]) -> Mapping[int, Made]:
    """What `make` makes of rows; where they fail together they are made in ever smaller parts, so that one refuses no other.

    An error that nobody foresaw refuses its row too: the request would be read again, and fail again, for ever.
    Errors: Transient.
    """

    def part(start: int, stop: int) -> tuple[int, Mapping[int, Made]]:
        try:
            return start, make(asked[start:stop])
        except Transient:
            raise
        except _FORESEEN as error:
            raise RowError(str(error)) from error
        except Exception as error:
            if stop - start == len(asked):  # told once, not again of each part
                log.exception("quarantined rows cannot be made, such as %s of %s", asked[0].row, asked[0].dataset)
            raise RowError(f"{type(error).__name__}: {error}") from error

    parts, failed = isolate(part, len(asked))
    return {start + at: found for start, made in parts for at, found in made.items()} | {
        at: str(error) for at, error in failed
    }


def _age(asked: Asked, marks: Marks | None) -> Age:
    """How old a row is that ingest set aside: as it came, where its source says so."""
    if marks is None:
        return Age(asked.quarantined_at, None)
    return Age(asked.quarantined_at, marks.age, again=True, anywhere=marks.age is not None)


def _unfit(dataset: LiveDataset, asked: Asked) -> str | None:
    """Why a row cannot be resubmitted at all, if so."""
    if dataset.contract.load.mode == "replace":
        return "the dataset is loaded in runs: mend the row at its source, then `headrace runs start`"
    if asked.stage == books.STAGE:
        return may_be_deletion(asked, dataset.contract)
    if asked.topic in (topics.raw(asked.dataset), topics.staged(asked.dataset)):
        return None
    if asked.raw_offset is None:
        return "which raw record it came from is not known"
    sql = (dataset.contract.transform.sql or "").lower()
    if dataset.contract.load.mode == "append" and ("unnest" in sql or "join" in sql):
        return "its raw record may have become several rows, of which others are loaded: they would be loaded twice"
    return None
