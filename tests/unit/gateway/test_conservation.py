"""The books balance for whatever lawful stages do, and show a residue for whatever they may not."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stream.ledger import LedgerEntry, add_hashes
from services.gateway.core.conservation import STAGES, balance
from services.gateway.core.folding import Sums, added, together
from tests.unit.gateway.books import Row, entry, hash_of

PARTITIONS = 2


def sums_of(entries: Iterable[LedgerEntry]) -> dict[tuple[str, int], Sums]:
    sums: dict[tuple[str, int], Sums] = {}
    for each in entries:
        key = (each.stage, each.partition)
        sums[key] = added(sums.get(key, Sums()), each)
    return sums


def flow(partition: int, rows: int, read: list[int], fates: list[int], copies: int) -> list[LedgerEntry]:
    """Entries of lawful stages: each reads a share of what the one before wrote, drops some, sets some aside.

    The transformer makes `copies` of each row. Every stage works in two transactions.
    """
    source: set[Row] = {(offset, 0) for offset in range(rows)}
    entries = []
    for stage, percent, fate in zip(STAGES, read, fates, strict=True):
        taken = set(sorted(source)[: len(source) * percent // 100])
        written: set[Row] = set()
        for half in (0, 1):
            part = {row for row in taken if row[0] % 2 == half}
            dropped = {row for row in part if row[0] % 7 == fate}
            aside = {row for row in part - dropped if row[0] % 11 == fate}
            out = part - dropped - aside
            if stage == "transformer":
                out = {(offset, copy) for offset, _ in out for copy in range(copies)}
            entries.append(
                entry(stage, part, out=out, filtered={"rule": dropped}, quarantined={"why": aside}, partition=partition)
            )
            written |= out
        source = written
    return entries


percents = st.lists(st.integers(0, 100), min_size=5, max_size=5)
fates = st.lists(st.integers(0, 12), min_size=5, max_size=5)


@given(st.integers(0, 60), percents, fates, st.integers(1, 3))
def test_lawful_stages_leave_no_residue_and_the_equation_holds(
    rows: int, read: list[int], fate: list[int], copies: int
) -> None:
    books = balance(
        sums_of(e for p in range(PARTITIONS) for e in flow(p, rows, [100, *read[1:]], fate, copies)), settled=False
    )
    for each in (books.total, *books.partitions.values()):
        assert each.residue == 0
        assert each.hashes_agree is not False
        fated = each.loaded + sum(each.filtered.values()) + sum(each.quarantined.values())
        assert each.read + each.multiplied == fated + each.in_flight


@given(st.integers(0, 60), fates, st.integers(1, 3))
def test_settled_books_of_lawful_stages_agree(rows: int, fate: list[int], copies: int) -> None:
    books = balance(sums_of(e for p in range(PARTITIONS) for e in flow(p, rows, [100] * 5, fate, copies)), settled=True)
    assert books.total.residue == books.total.in_flight == 0
    assert books.total.hashes_agree is True


@given(st.integers(1, 60), st.integers(0, 3), st.data())
def test_any_lost_doubled_or_swapped_row_is_a_residue(rows: int, hop: int, data: st.DataObject) -> None:
    """The negative control of the two above: one row tampered with at one hop."""
    entries = flow(0, rows, [100] * 5, [12] * 5, 1)
    written = {(offset, 0) for offset in range(rows)}
    victim = data.draw(st.sampled_from(sorted(written)))
    foreign = (rows + 1, 0)
    ways = [written - {victim}, written | {foreign}]
    if hop > 0:  # before the raw topic rows have no identity: there a swap cannot be seen
        ways.append((written - {victim}) | {foreign})
    tampered = data.draw(st.sampled_from(ways), label="read")
    target = STAGES[hop + 1]
    entries = [e for e in entries if e.stage != target] + [entry(target, tampered, out=written)]
    books = balance(sums_of(entries), settled=True)
    assert books.total.residue > 0
    assert books.total.hashes_agree is False
    faulty = {(h.source, h.target) for h in books.hops if h.residue}
    assert faulty == {(STAGES[hop], target)}


def test_a_difference_is_in_flight_until_the_dataset_is_settled() -> None:
    entries = flow(0, 10, [100, 100, 40, 100, 100], [12] * 5, 1)
    moving, settled = balance(sums_of(entries), settled=False), balance(sums_of(entries), settled=True)
    assert (moving.total.in_flight, moving.total.residue, moving.total.hashes_agree) == (6, 0, None)
    assert (settled.total.in_flight, settled.total.residue, settled.total.hashes_agree) == (0, 6, False)


def test_more_rows_read_than_written_is_a_residue_at_once() -> None:
    entries = [entry("ingest", {(0, 0)}), entry("stager", {(0, 0), (1, 0)})]
    assert balance(sums_of(entries), settled=False).total.residue == 1


@pytest.mark.parametrize("settled", [True, False])
def test_a_row_without_a_fate_is_a_residue_of_its_stage(settled: bool) -> None:
    rows = {(offset, 0) for offset in range(4)}
    lawful = entry("stager", rows)
    books = balance(sums_of([entry("ingest", rows), replace(lawful, emitted=lawful.emitted - 1)]), settled)
    assert next(stage for stage in books.stages if stage.stage == "stager").residue == 1
    assert books.total.hashes_agree is False


def test_fates_that_are_not_the_rows_that_came_in_are_a_residue() -> None:
    rows, others = {(0, 0), (1, 0)}, {(0, 0), (2, 0)}
    mistaken = replace(entry("stager", rows), emitted_hash=entry("stager", others).emitted_hash)
    assert balance(sums_of([entry("ingest", rows), mistaken]), settled=False).total.residue == 2


def test_a_dataset_nobody_has_read_has_empty_books() -> None:
    books = balance({}, settled=True)
    assert (books.total.read, books.total.residue, books.partitions) == (0, 0, {})


def test_rows_that_left_quarantine_have_another_fate() -> None:
    """Ten rows, four set aside: two are read anew and loaded, one is given up, one stays."""
    aside = entry("transformer", {(n, 0) for n in range(10)}, out={(n, 0) for n in range(6)},
                  quarantined={"why": {(n, 0) for n in range(6, 10)}})  # fmt: skip
    before = {(n, 0) for n in range(10)}
    anew = {(10, 0), (11, 0)}
    acts = replace(
        entry("ingest", set(), out=set()), emitted=2, rows_out=2, resubmitted={"why": 2}, discarded={"why": 1}
    )
    later = [entry(stage, anew, out=anew) for stage in STAGES[1:]]
    loaded = {(n, 0) for n in range(6)}
    first = [entry("ingest", before, out=before), entry("stager", before, out=before), aside]
    first += [entry(stage, loaded, out=loaded) for stage in ("quality", "loader")]
    books = balance(sums_of([*first, acts, *later]), settled=True).total
    assert (books.read, books.loaded, books.in_flight, books.residue, books.hashes_agree) == (10, 8, 0, 0, True)
    assert (books.quarantined, books.resubmitted, books.discarded) == ({"why": 1}, {"why": 2}, {"why": 1})
    assert books.read == books.loaded + sum(books.quarantined.values()) + sum(books.discarded.values())

    unsaid = replace(acts, resubmitted={})  # the control: rows that come from nowhere
    assert balance(sums_of([*first, unsaid, *later]), settled=True).total.residue == 2


def parking(waits: set[Row], released: set[Row], out: set[Row]) -> LedgerEntry:
    """What the transformer writes that lets rows wait, and takes others up again."""
    made = entry("transformer", waits | out)
    return replace(
        made,
        emitted=len(out) + len(released),
        emitted_hash=add_hashes(hash_of(0, out), hash_of(0, released)),
        rows_out=len(out) + len(released),
        out_hash=add_hashes(hash_of(0, out), hash_of(0, released)),
        parked={"known": len(waits)} if waits else {},
        parked_hash=hash_of(0, waits),
        released={"known": len(released)} if released else {},
        released_hash=hash_of(0, released),
    )


def test_rows_that_wait_are_neither_in_flight_nor_a_residue() -> None:
    rows: set[Row] = {(offset, 0) for offset in range(5)}
    waits: set[Row] = {(1, 0), (3, 0)}
    before = [entry("ingest", rows), entry("stager", rows), parking(waits, set(), rows - waits)]
    after = [entry(stage, rows - waits) for stage in ("quality", "loader")]
    books = balance(sums_of([*before, *after]), settled=True).total
    assert (books.read, books.loaded, books.parked, books.in_flight, books.residue) == (5, 3, {"known": 2}, 0, 0)
    assert books.hashes_agree
    came = [parking(set(), {(1, 0)}, set()), *(entry(stage, {(1, 0)}) for stage in ("quality", "loader"))]
    books = balance(sums_of([*before, *after, *came]), settled=True).total
    assert (books.loaded, books.parked, books.residue, books.hashes_agree) == (4, {"known": 1}, 0, True)


def test_a_row_that_is_released_without_having_been_parked_is_a_residue() -> None:
    """The control: the set-hash knows one row from another, where the numbers agree."""
    rows: set[Row] = {(0, 0), (1, 0)}
    wrong = replace(parking({(1, 0)}, set(), {(0, 0)}), parked_hash=hash_of(0, {(7, 0)}))
    books = balance(sums_of([entry("ingest", rows), entry("stager", rows), wrong]), settled=False).total
    assert books.residue == 2
    assert books.hashes_agree is False


def test_two_sums_together_are_those_of_all_their_entries() -> None:
    """Of rows that wait and were released, too: what is left out there is missing from the books of a dataset."""
    parts = [
        replace(
            entry("transformer", {(offset, 0)}, quarantined={"check_in": {(offset, 0)}}),
            resubmitted={"check_in": offset},
            discarded={"check_in": offset},
            parked={"known": offset},
            parked_hash=offset,
            released={"known": offset},
            released_hash=offset,
        )
        for offset in (3, 5)
    ]
    one, other = (added(Sums(), each) for each in parts)
    assert together(one, other) == added(one, parts[1])
