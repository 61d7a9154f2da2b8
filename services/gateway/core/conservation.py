"""Decides whether the books of a dataset balance, and at which hop they do not.

Rows are counted where they are written (`rows_out` of a stage) and where they are read (`rows_in` of the next).
A difference is *in flight* while something is left to read, and *residue* when nothing is. Equal counts can hide
opposite errors, so the set-hashes of the identities must agree as well: counts that match over hashes that do not
mean at least one row lost and one row too many, which is a residue of 2. The first hop is compared by counts alone:
a row has no identity before it stands in the raw topic.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from headrace.stream.ledger import add_hashes
from services.gateway.core.folding import Sums

STAGES: Final = ("ingest", "stager", "transformer", "quality", "loader")
#: The stages that all generations of a dataset share, and whose entries name the one that was live then.
SHARED: Final = frozenset({"ingest", "stager"})
_SWAPPED: Final = 2  # one lost, one too many


@dataclass(frozen=True, slots=True)
class Hop:
    """What left one stage against what reached the next, in one partition."""

    source: str
    target: str
    partition: int
    rows_out: int
    rows_in: int
    in_flight: int
    residue: int
    hashes_agree: bool | None  # None: not comparable, while rows are in flight or because there are none


@dataclass(frozen=True, slots=True)
class StageBooks:
    """What one stage did with all partitions: every input row has one fate."""

    stage: str
    rows_in: int
    emitted: int
    rows_out: int
    filtered: Mapping[str, int]
    quarantined: Mapping[str, int]
    residue: int
    parked: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Books:
    """Rows by fate: read + multiplied = loaded + filtered + quarantined + discarded + parked + in flight, give or take the
    residue.

    `multiplied` counts the rows that exist because one row became several. `quarantined` are those that still are;
    `resubmitted` left quarantine and have another fate by now, `discarded` were given up. `parked` are those that still wait, by
    the check that lets them.
    """

    read: int = 0
    multiplied: int = 0
    loaded: int = 0
    filtered: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    in_flight: int = 0
    residue: int = 0
    hashes_agree: bool | None = True
    resubmitted: Mapping[str, int] = field(default_factory=dict)
    discarded: Mapping[str, int] = field(default_factory=dict)
    parked: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatasetBooks:
    """The books of a dataset, whole and by partition, with every stage and hop they are made of."""

    total: Books
    partitions: Mapping[int, Books]
    stages: tuple[StageBooks, ...]
    hops: tuple[Hop, ...]


def balance(sums: Mapping[tuple[str, int], Sums], settled: bool) -> DatasetBooks:
    """The books made of the sums by (stage, partition). `settled` says that no stage has anything left to read."""
    partitions = sorted({partition for _, partition in sums})
    by_partition = {p: {stage: sums.get((stage, p), Sums()) for stage in STAGES} for p in partitions}
    hops = tuple(
        _hop(source, target, p, stages[source], stages[target], settled)
        for p, stages in by_partition.items()
        for source, target in pairwise(STAGES)
    )
    each = {
        p: _partition_books(stages, [hop for hop in hops if hop.partition == p]) for p, stages in by_partition.items()
    }
    stages = tuple(_stage_books(stage, [by_partition[p][stage] for p in partitions]) for stage in STAGES)
    return DatasetBooks(_total(each.values()), each, stages, hops)


def _hop(source: str, target: str, partition: int, left: Sums, reached: Sums, settled: bool) -> Hop:
    difference = left.rows_out - reached.rows_in
    agree: bool | None
    if difference != 0:
        agree = False if settled or difference < 0 else None
    else:
        agree = None if source == STAGES[0] else left.out_hash == reached.in_hash
    in_flight = max(difference, 0) if not settled else 0
    residue = abs(difference) - in_flight or (0 if agree is not False else _SWAPPED)
    return Hop(source, target, partition, left.rows_out, reached.rows_in, in_flight, residue, agree)


def imbalance(stage: str, sums: Sums) -> int:
    """Rows of a stage's input without exactly one fate. Ingest reads rows that have no identity yet: counts only.

    What it was given back from quarantine is its input, too, and so is what had been parked and was taken up again.
    """
    given = sums.rows_in + sums.resubmitted_rows + sums.released_rows
    missing = abs(given - sums.emitted - sums.filtered_rows - sums.quarantined_rows - sums.parked_rows)
    fates = add_hashes(sums.emitted_hash, sums.filtered_hash, sums.quarantined_hash, sums.parked_hash)
    same = fates == add_hashes(sums.in_hash, sums.released_hash)
    return missing or (0 if stage == STAGES[0] or same else _SWAPPED)


def waiting(sums: Sums) -> dict[str, int]:
    """The rows that are parked now, by the check that lets them wait."""
    return _left(sums.parked, sums.released)


def _partition_books(stages: Mapping[str, Sums], hops: list[Hop]) -> Books:
    unbalanced = {stage: imbalance(stage, sums) for stage, sums in stages.items()}
    resubmitted = _added(sums.resubmitted for sums in stages.values())
    discarded = _added(sums.discarded for sums in stages.values())
    return Books(
        read=stages[STAGES[0]].rows_in,
        multiplied=sum(sums.rows_out - sums.emitted for sums in stages.values()) - _last_multiplied(stages),
        loaded=stages[STAGES[-1]].emitted,
        filtered=_added(sums.filtered for sums in stages.values()),
        quarantined=_left(_added(sums.quarantined for sums in stages.values()), resubmitted, discarded),
        in_flight=sum(hop.in_flight for hop in hops),
        residue=sum(hop.residue for hop in hops) + sum(unbalanced.values()),
        hashes_agree=_all_agree(
            [hop.hashes_agree for hop in hops if hop.source != STAGES[0] or hop.rows_out != hop.rows_in]
            + [rows == 0 for rows in unbalanced.values()]
        ),
        resubmitted=resubmitted,
        discarded=discarded,
        parked=_added(waiting(sums) for sums in stages.values()),
    )


def _last_multiplied(stages: Mapping[str, Sums]) -> int:
    """What the last stage writes is no longer a row of a topic: only what it took in counts as loaded."""
    last = stages[STAGES[-1]]
    return last.rows_out - last.emitted


def _stage_books(stage: str, sums: list[Sums]) -> StageBooks:
    return StageBooks(
        stage,
        rows_in=sum(s.rows_in for s in sums),
        emitted=sum(s.emitted for s in sums),
        rows_out=sum(s.rows_out for s in sums),
        filtered=_added(s.filtered for s in sums),
        quarantined=_added(s.quarantined for s in sums),
        residue=sum(imbalance(stage, s) for s in sums),
        parked=_added(waiting(s) for s in sums),
    )


def _total(parts: Iterable[Books]) -> Books:
    parts = list(parts)
    return Books(
        read=sum(b.read for b in parts),
        multiplied=sum(b.multiplied for b in parts),
        loaded=sum(b.loaded for b in parts),
        filtered=_added(b.filtered for b in parts),
        quarantined=_added(b.quarantined for b in parts),
        in_flight=sum(b.in_flight for b in parts),
        residue=sum(b.residue for b in parts),
        hashes_agree=_all_agree([b.hashes_agree for b in parts]),
        resubmitted=_added(b.resubmitted for b in parts),
        discarded=_added(b.discarded for b in parts),
        parked=_added(b.parked for b in parts),
    )


def _left(quarantined: Mapping[str, int], *gone: Mapping[str, int]) -> dict[str, int]:
    """What is still set aside. Below 0 when more has left than came, which would be a fault: it is shown, not hidden."""
    left = Counter(quarantined)
    for each in gone:
        left.subtract(each)
    return {reason: rows for reason, rows in sorted(left.items()) if rows}


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))


def _all_agree(verdicts: list[bool | None]) -> bool | None:
    """False wins over unknown, unknown over true."""
    if False in verdicts:
        return False
    return None if None in verdicts else True
