"""The books: for each transaction and partition, how many rows met which fate, and which rows they were.

Counts alone can hide opposite errors, so each count travels with a set-hash: the sum modulo 2^64 of a mixed
64-bit value per row identity. The sum does not depend on order, can be added up over transactions, and
differs when one row is lost and another is doubled.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.errors import Fatal
from headrace.stream import columns
from headrace.stream.stage import Batch, Outcome, Records, Rejection

#: Upper bounds (inclusive) of the latency buckets, in milliseconds; one more bucket holds the rest.
LATENCY_BOUNDS_MS: Final = (
    5,
    10,
    20,
    35,
    50,
    75,
    100,
    150,
    200,
    250,
    300,
    400,
    500,
    750,
    1000,
    1500,
    2000,
    3000,
    5000,
    10000,
    30000,
    60000,
    300000,
)

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Position:
    """Whose books these are: the fixed part of every entry of one pump."""

    dataset: str
    generation: int
    version: int
    stage: str
    instance: str


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What one stage did with one partition in one transaction. Fields: `schemas/ledger_entry.avsc`."""

    dataset: str
    generation: int
    version: int
    stage: str
    instance: str
    partition: int
    from_offset: int
    to_offset: int
    rows_in: int
    in_hash: int
    emitted: int
    emitted_hash: int
    rows_out: int
    out_hash: int
    filtered: dict[str, int]
    filtered_hash: int
    quarantined: dict[str, int]
    quarantined_hash: int
    latency_ms: list[int]
    bytes_in: int
    committed_at: datetime
    resubmitted: dict[str, int] = field(default_factory=dict)
    discarded: dict[str, int] = field(default_factory=dict)
    parked: dict[str, int] = field(default_factory=dict)
    parked_hash: int = 0
    released: dict[str, int] = field(default_factory=dict)
    released_hash: int = 0


def set_hash(partition: Int64s, offset: Int64s, seq: Int64s) -> int:
    """The order-independent hash of a set of row identities, as a signed 64-bit integer; 0 for none.

    Shapes: three arrays of n. Source: the finaliser of splitmix64, applied to each part in turn.
    """
    return _sum(_mix(partition, offset, seq))


def _mix(partition: Int64s, offset: Int64s, seq: Int64s) -> npt.NDArray[np.uint64]:
    value = np.full(len(offset), 0x9E3779B97F4A7C15, np.uint64)
    for part in (partition, offset, seq):
        value = value + part.astype(np.uint64)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        value = value ^ (value >> np.uint64(31))
    return value


def _sum(hashes: npt.NDArray[np.uint64]) -> int:
    return int(hashes.sum(dtype=np.uint64).astype(np.int64))


def add_hashes(*hashes: int) -> int:
    """The hash of the union of disjoint sets: the sum modulo 2^64, as a signed integer."""
    total = sum(hashes) & 0xFFFF_FFFF_FFFF_FFFF
    return total - (1 << 64) if total >> 63 else total


EMIT, FILTER, QUARANTINE, PARK = 1, 2, 4, 8


def fates(rows: int, outcome: Outcome) -> npt.NDArray[np.uint8]:
    """The fate of each of the input rows. Errors: Fatal when a row has none, or two: the stage is at fault."""
    fate = np.zeros(rows, np.uint8)
    settled = 0
    emitted = np.zeros(rows, bool)
    for part in outcome.emitted:
        emitted[_array(part.row)] = True
    fate[emitted] = EMIT
    settled += int(emitted.sum())
    for index in outcome.filtered.values():
        fate[_array(index)] |= FILTER
        settled += len(index)
    rejected = [rejection.row for rejection in outcome.rejected]
    fate[rejected] |= QUARANTINE
    settled += len(rejected)
    parked = [each.row for each in outcome.parked]
    fate[parked] |= PARK
    settled += len(parked)
    if settled != rows or not fate.all():
        raise Fatal(
            f"the stage's outcome does not account for its input: {rows} rows in, {int((fate == 0).sum())} without a fate, "
            f"{settled - int((fate != 0).sum())} with more than one; this is a bug in the stage, nothing was written"
        )
    return fate


@dataclass(slots=True)
class _Page:
    """The running account of one partition within one transaction."""

    rows_in: int = 0
    bytes_in: int = 0
    from_offset: int = -1
    to_offset: int = -1
    in_hash: int = 0
    emitted: int = 0
    emitted_hash: int = 0
    rows_out: int = 0
    out_hash: int = 0
    filtered: Counter[str] = field(default_factory=Counter)
    filtered_hash: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    quarantined_hash: int = 0
    parked: Counter[str] = field(default_factory=Counter)
    parked_hash: int = 0
    released: Counter[str] = field(default_factory=Counter)
    released_hash: int = 0
    latency_ms: Int64s = field(default_factory=lambda: np.zeros(len(LATENCY_BOUNDS_MS) + 1, np.int64))


def entries_of(
    position: Position,
    records: Records,
    portions: Iterable[tuple[Batch, Outcome]],
    undecodable: Sequence[Rejection],
    now_ms: int,
    released: Sequence[str] = (),
) -> tuple[LedgerEntry, ...]:
    """The books of one transaction: an entry for each partition in `records`, and of the rows that had been parked.

    Shapes: `released` has what each of those rows waited for, in their order. Units: `now_ms` is when the batch was decided,
    milliseconds since the epoch. Errors: Fatal (see `fates`).
    """
    partition, offset = _array(records.partition), _array(records.offset)
    values = [value or b"" for value in records.values] if None in records.values else records.values
    sizes = np.fromiter(map(len, values), np.int64, len(records))  # type: ignore[arg-type]
    pages: dict[int, _Page] = {}
    for number in np.unique(partition):
        mine = partition == number
        pages[int(number)] = _Page(
            rows_in=int(mine.sum()),
            bytes_in=int(sizes[mine].sum()),
            from_offset=int(offset[mine][0]),
            to_offset=int(offset[mine][-1]),
        )
    waited = iter(released)
    for batch, outcome in portions:
        if batch.since_ms is not None:
            for number in _array(batch.raw.partition).tolist():
                pages.setdefault(number, _Page()).released[next(waited)] += 1
        _account(pages, batch, outcome, now_ms)
    for rejection in undecodable:
        page = pages[int(partition[rejection.row])]
        at = offset[rejection.row : rejection.row + 1]
        page.quarantined[rejection.reason] += 1
        one = set_hash(partition[rejection.row : rejection.row + 1], at, np.zeros(1, np.int64))
        page.quarantined_hash = add_hashes(page.quarantined_hash, one)
        page.in_hash = add_hashes(page.in_hash, one)
    return tuple(_entry(position, number, page, now_ms) for number, page in pages.items())


def _account(pages: dict[int, _Page], batch: Batch, outcome: Outcome, now_ms: int) -> None:
    rows = len(batch.raw)
    fate = fates(rows, outcome)
    at, offset, seq = identities(batch)
    hashes = _mix(at, offset, seq)
    topic_partition = _array(batch.raw.partition)
    filtered = [(rule, _array(index)) for rule, index in outcome.filtered.items()]
    outputs = [_outputs(part.row, part.rows, at, offset, seq, hashes) for part in outcome.emitted]
    ages = np.searchsorted(LATENCY_BOUNDS_MS, now_ms - _ingested_ms(batch))
    for number, page in pages.items():
        mine = topic_partition == number
        if not mine.any():
            continue
        emitted = mine & (fate == EMIT)
        if batch.since_ms is None:
            page.in_hash = add_hashes(page.in_hash, _sum(hashes[mine]))
        else:
            page.released_hash = add_hashes(page.released_hash, _sum(hashes[mine]))
        page.emitted += int(emitted.sum())
        page.emitted_hash = add_hashes(page.emitted_hash, _sum(hashes[emitted]))
        page.filtered_hash = add_hashes(page.filtered_hash, _sum(hashes[mine & (fate == FILTER)]))
        page.quarantined_hash = add_hashes(page.quarantined_hash, _sum(hashes[mine & (fate == QUARANTINE)]))
        page.parked_hash = add_hashes(page.parked_hash, _sum(hashes[mine & (fate == PARK)]))
        for rule, index in filtered:
            page.filtered[rule] += int(mine[index].sum())
        for parents, out_hashes in outputs:
            here = mine[parents]
            page.rows_out += int(here.sum())
            page.out_hash = add_hashes(page.out_hash, _sum(out_hashes[here]))
            page.latency_ms += np.bincount(ages[parents[here]], minlength=len(page.latency_ms))
    for rejection in outcome.rejected:
        pages[int(topic_partition[rejection.row])].quarantined[rejection.reason] += 1
    for each in outcome.parked:
        pages[int(topic_partition[each.row])].parked[each.rule] += 1


def identities(batch: Batch) -> tuple[Int64s, Int64s, Int64s]:
    """(raw partition, raw offset, seq) of each input row: its system columns, or in the raw topic its coordinates."""
    if columns.OFFSET in batch.rows.schema.names:
        part, offset, seq = (_array(batch.rows.column(name)) for name in columns.IDENTITY)
        return part, offset, seq
    return _array(batch.raw.partition), _array(batch.raw.offset), np.zeros(len(batch.raw), np.int64)


def _outputs(
    row: pa.Int64Array,
    rows: pa.RecordBatch | None,
    partition: Int64s,
    offset: Int64s,
    seq: Int64s,
    hashes: npt.NDArray[np.uint64],
) -> tuple[Int64s, npt.NDArray[np.uint64]]:
    """Which input each output row came from, and the hash of each output row's own identity."""
    parents = _array(row)
    if rows is None or columns.SEQ not in rows.schema.names:
        return parents, hashes[parents]
    out_seq = _array(rows.column(columns.SEQ))
    if np.array_equal(out_seq, seq[parents]):
        return parents, hashes[parents]
    return parents, _mix(partition[parents], offset[parents], out_seq)


def _ingested_ms(batch: Batch) -> Int64s:
    if columns.INGESTED_AT in batch.rows.schema.names:
        return _array(batch.rows.column(columns.INGESTED_AT).cast(pa.int64())) // 1000
    return _array(batch.raw.timestamp_ms)


def _array(values: pa.Array) -> Int64s:
    return values.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)


def _entry(position: Position, partition: int, page: _Page, now_ms: int) -> LedgerEntry:
    return LedgerEntry(
        dataset=position.dataset,
        generation=position.generation,
        version=position.version,
        stage=position.stage,
        instance=position.instance,
        partition=partition,
        from_offset=page.from_offset,
        to_offset=page.to_offset,
        rows_in=page.rows_in,
        in_hash=page.in_hash,
        emitted=page.emitted,
        emitted_hash=page.emitted_hash,
        rows_out=page.rows_out,
        out_hash=page.out_hash,
        filtered={rule: count for rule, count in page.filtered.items() if count},
        filtered_hash=page.filtered_hash,
        quarantined=dict(page.quarantined),
        quarantined_hash=page.quarantined_hash,
        latency_ms=page.latency_ms.tolist(),
        bytes_in=page.bytes_in,
        committed_at=datetime.fromtimestamp(now_ms / 1000, UTC),
        parked=dict(page.parked),
        parked_hash=page.parked_hash,
        released=dict(page.released),
        released_hash=page.released_hash,
    )
