"""Decides what a ledger entry adds to the books: sums per stage and partition, and activity per ten seconds."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from headrace.stream.ledger import LedgerEntry, add_hashes

BUCKET_S: Final = 10


class SumsKey(NamedTuple):
    """Whose sums."""

    dataset: str
    generation: int
    stage: str
    partition: int


class BucketKey(NamedTuple):
    """Which stage's activity, and when. Units: seconds since the epoch, a multiple of BUCKET_S."""

    dataset: str
    generation: int
    stage: str
    start_s: int


@dataclass(frozen=True, slots=True)
class Sums:
    """All a stage has done with one partition. Hashes add modulo 2^64 and are kept as signed numbers."""

    entries: int = 0
    rows_in: int = 0
    in_hash: int = 0
    emitted: int = 0
    emitted_hash: int = 0
    rows_out: int = 0
    out_hash: int = 0
    filtered: Mapping[str, int] = field(default_factory=dict)
    filtered_hash: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    quarantined_hash: int = 0
    bytes_in: int = 0
    last_commit_at: datetime | None = None
    resubmitted: Mapping[str, int] = field(default_factory=dict)
    discarded: Mapping[str, int] = field(default_factory=dict)
    parked: Mapping[str, int] = field(default_factory=dict)
    parked_hash: int = 0
    released: Mapping[str, int] = field(default_factory=dict)
    released_hash: int = 0

    @property
    def parked_rows(self) -> int:
        return sum(self.parked.values())

    @property
    def released_rows(self) -> int:
        return sum(self.released.values())

    @property
    def filtered_rows(self) -> int:
        return sum(self.filtered.values())

    @property
    def quarantined_rows(self) -> int:
        return sum(self.quarantined.values())

    @property
    def resubmitted_rows(self) -> int:
        return sum(self.resubmitted.values())


@dataclass(frozen=True, slots=True)
class Activity:
    """What a stage did within one bucket of time; `latency` counts output rows by age (LATENCY_BOUNDS_MS)."""

    rows_in: int = 0
    rows_out: int = 0
    latency: tuple[int, ...] = ()


def sums_key(entry: LedgerEntry) -> SumsKey:
    """Whose sums an entry adds to."""
    return SumsKey(entry.dataset, entry.generation, entry.stage, entry.partition)


def bucket_key(entry: LedgerEntry) -> BucketKey:
    """Which bucket of time an entry adds to."""
    at_s = int(entry.committed_at.timestamp())
    return BucketKey(entry.dataset, entry.generation, entry.stage, at_s - at_s % BUCKET_S)


def added(sums: Sums, entry: LedgerEntry) -> Sums:
    """The sums after one more entry."""
    return Sums(
        entries=sums.entries + 1,
        rows_in=sums.rows_in + entry.rows_in,
        in_hash=add_hashes(sums.in_hash, entry.in_hash),
        emitted=sums.emitted + entry.emitted,
        emitted_hash=add_hashes(sums.emitted_hash, entry.emitted_hash),
        rows_out=sums.rows_out + entry.rows_out,
        out_hash=add_hashes(sums.out_hash, entry.out_hash),
        filtered=_merged(sums.filtered, entry.filtered),
        filtered_hash=add_hashes(sums.filtered_hash, entry.filtered_hash),
        quarantined=_merged(sums.quarantined, entry.quarantined),
        quarantined_hash=add_hashes(sums.quarantined_hash, entry.quarantined_hash),
        bytes_in=sums.bytes_in + entry.bytes_in,
        last_commit_at=max(at for at in (sums.last_commit_at, entry.committed_at) if at is not None),
        resubmitted=_merged(sums.resubmitted, entry.resubmitted),
        discarded=_merged(sums.discarded, entry.discarded),
        parked=_merged(sums.parked, entry.parked),
        parked_hash=add_hashes(sums.parked_hash, entry.parked_hash),
        released=_merged(sums.released, entry.released),
        released_hash=add_hashes(sums.released_hash, entry.released_hash),
    )


def together(one: Sums, other: Sums) -> Sums:
    """The sums of both."""
    latest = [at for at in (one.last_commit_at, other.last_commit_at) if at is not None]
    return Sums(
        entries=one.entries + other.entries,
        rows_in=one.rows_in + other.rows_in,
        in_hash=add_hashes(one.in_hash, other.in_hash),
        emitted=one.emitted + other.emitted,
        emitted_hash=add_hashes(one.emitted_hash, other.emitted_hash),
        rows_out=one.rows_out + other.rows_out,
        out_hash=add_hashes(one.out_hash, other.out_hash),
        filtered=_merged(one.filtered, other.filtered),
        filtered_hash=add_hashes(one.filtered_hash, other.filtered_hash),
        quarantined=_merged(one.quarantined, other.quarantined),
        quarantined_hash=add_hashes(one.quarantined_hash, other.quarantined_hash),
        bytes_in=one.bytes_in + other.bytes_in,
        last_commit_at=max(latest, default=None),
        resubmitted=_merged(one.resubmitted, other.resubmitted),
        discarded=_merged(one.discarded, other.discarded),
        parked=_merged(one.parked, other.parked),
        parked_hash=add_hashes(one.parked_hash, other.parked_hash),
        released=_merged(one.released, other.released),
        released_hash=add_hashes(one.released_hash, other.released_hash),
    )


def with_entry(activity: Activity, entry: LedgerEntry) -> Activity:
    """The activity of a bucket after one more entry."""
    return Activity(
        rows_in=activity.rows_in + entry.rows_in,
        rows_out=activity.rows_out + entry.rows_out,
        latency=histograms_added([activity.latency, tuple(entry.latency_ms)]),
    )


def histograms_added(histograms: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """One histogram out of several; one that has fewer buckets counts nothing in the rest."""
    histograms = list(histograms)
    width = max((len(counts) for counts in histograms), default=0)
    return tuple(sum(counts[i] for counts in histograms if i < len(counts)) for i in range(width))


def _merged(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(left) + Counter(right))
