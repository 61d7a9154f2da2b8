"""The books balance for every outcome a stage can honestly give, and a dishonest one is refused."""

from dataclasses import dataclass

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import Fatal
from headrace.stream import columns
from headrace.stream.ledger import LedgerEntry, Position, add_hashes, entries_of, set_hash
from headrace.stream.stage import Batch, Emitted, Outcome, Records, Rejection

POSITION = Position("shop.orders", 1, 1, "transformer", "0")


@dataclass(frozen=True)
class Case:
    """A batch and the fate of each of its rows: how many rows it became, a rule, or a reason."""

    batch: Batch
    fates: list[int | str]


def batch_of(partitions: list[int]) -> Batch:
    rows = len(partitions)
    raw = Records(
        "shop.orders.staged",
        pa.array(partitions, pa.int32()),
        pa.array([1000 + at for at in range(rows)], pa.int64()),
        pa.array([0] * rows, pa.int64()),
        [None] * rows,
        [b"12345"] * rows,
    )
    staged = pa.RecordBatch.from_pydict(
        {
            columns.PARTITION: pa.array(partitions, pa.int32()),
            columns.OFFSET: pa.array(range(rows), pa.int64()),
            columns.SEQ: pa.array([0] * rows, pa.int32()),
            columns.INGESTED_AT: pa.array([0] * rows, columns.TIMESTAMP),
        }
    )
    return Batch(raw, staged, 1)


cases = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.one_of(st.integers(1, 3), st.sampled_from(["rule a", "rule b", "check_in", "undecodable"])),
    ),
    min_size=1,
    max_size=60,
).map(lambda rows: Case(batch_of([partition for partition, _ in rows]), [fate for _, fate in rows]))


def outcome_of(case: Case) -> Outcome:
    parents = [at for at, fate in enumerate(case.fates) if isinstance(fate, int) for _ in range(fate)]
    seqs = [seq for fate in case.fates if isinstance(fate, int) for seq in range(fate)]
    kept = pa.array(parents, pa.int64())
    source = case.batch.rows.take(kept)
    at = source.schema.get_field_index(columns.SEQ)
    rows = source.set_column(at, columns.SEQ, pa.array(seqs, pa.int32()))
    return Outcome(
        (Emitted(kept, rows),),
        {
            rule: pa.array([at for at, fate in enumerate(case.fates) if fate == rule], pa.int64())
            for rule in ("rule a", "rule b")
        },
        [Rejection(at, fate, "") for at, fate in enumerate(case.fates) if fate in ("check_in", "undecodable")],
    )


def books(batch: Batch, outcome: Outcome) -> tuple[LedgerEntry, ...]:
    return entries_of(POSITION, batch.raw, [(batch, outcome)], [], now_ms=42)


@given(cases)
def test_every_row_is_in_the_books_once(case: Case) -> None:
    entries = books(case.batch, outcome_of(case))
    assert sum(entry.rows_in for entry in entries) == len(case.fates)
    for entry in entries:
        mine = [
            fate
            for fate, at in zip(case.fates, case.batch.raw.partition.to_pylist(), strict=True)
            if at == entry.partition
        ]
        assert (
            entry.rows_in == len(mine) == entry.emitted + sum(entry.filtered.values()) + sum(entry.quarantined.values())
        )
        assert entry.rows_out == sum(fate for fate in mine if isinstance(fate, int)) == sum(entry.latency_ms)
        assert entry.filtered == {rule: mine.count(rule) for rule in ("rule a", "rule b") if rule in mine}
        assert entry.quarantined == {code: mine.count(code) for code in ("check_in", "undecodable") if code in mine}
        assert entry.in_hash == add_hashes(entry.emitted_hash, entry.filtered_hash, entry.quarantined_hash)


@given(cases)
def test_what_one_stage_writes_is_what_the_next_one_reads(case: Case) -> None:
    outcome = outcome_of(case)
    written = books(case.batch, outcome)
    rows = outcome.emitted[0].rows
    assert rows is not None
    following = Batch(case.batch.raw.take(outcome.emitted[0].row), rows, 1)
    if len(rows):
        read = books(following, Outcome((Emitted(pa.array(range(len(rows)), pa.int64()), None),)))
        assert add_hashes(*(entry.out_hash for entry in written)) == add_hashes(*(entry.in_hash for entry in read))


def emit(*rows: int) -> Emitted:
    return Emitted(pa.array(rows, pa.int64()), None)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome((emit(0),)),
        Outcome((emit(0, 1),), {"rule": pa.array([1], pa.int64())}),
        Outcome((emit(0, 1),), rejected=[Rejection(0, "check_in", "")]),
        Outcome((emit(0),), {"a": pa.array([1], pa.int64()), "b": pa.array([1], pa.int64())}),
        Outcome((emit(0),), rejected=[Rejection(1, "check_in", ""), Rejection(1, "check_in", "")]),
        Outcome((emit(0),), {"rule": pa.array([0], pa.int64())}),
        Outcome(()),
    ],
    ids=[
        "forgotten",
        "emitted and filtered",
        "emitted and quarantined",
        "filtered twice",
        "quarantined twice",
        "one twice and one never",
        "nothing",
    ],
)
def test_an_outcome_that_forgets_or_doubles_a_row_is_refused(outcome: Outcome) -> None:
    with pytest.raises(Fatal, match="does not account for its input"):
        books(batch_of([0, 0]), outcome)


def test_opposite_errors_do_not_cancel_out() -> None:
    """One row lost and another doubled: the counts agree, the hashes do not."""
    seq, part = pa.array([0, 0, 0]).to_numpy(), pa.array([0, 0, 0]).to_numpy()
    honest = set_hash(part, pa.array([1, 2, 3]).to_numpy(), seq)
    assert set_hash(part, pa.array([3, 1, 2]).to_numpy(), seq) == honest
    assert set_hash(part, pa.array([1, 2, 2]).to_numpy(), seq) != honest


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_hashes_add_up_in_any_order_and_stay_signed(hashes: list[int]) -> None:
    total = add_hashes(*hashes)
    assert -(2**63) <= total < 2**63
    assert total == add_hashes(*reversed(hashes))
