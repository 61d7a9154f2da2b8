"""Which partition a row goes to."""

import zlib

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.core.partition import LEAST_SHARE, by_key, in_slices, key_texts, partition_of


@given(st.lists(st.binary(max_size=8)), st.integers(1, 9))
def test_every_row_goes_to_the_partition_of_its_key_in_order(keys: list[bytes], partitions: int) -> None:
    chosen = by_key(keys, partitions)
    assert sorted(row for index in chosen.values() for row in index) == list(range(len(keys)))
    for number, index in chosen.items():
        assert index.tolist() == sorted(index.tolist())
        assert all(partition_of(keys[row], partitions) == number for row in index)


@given(st.integers(0, 20 * LEAST_SHARE), st.integers(1, 9), st.integers(0, 8))
def test_slices_share_all_rows_evenly(rows: int, partitions: int, first: int) -> None:
    shares = in_slices(rows, partitions, first % partitions)
    assert sorted(row for start, stop in shares.values() for row in range(start, stop)) == list(range(rows))
    sizes = [stop - start for start, stop in shares.values()]
    assert not sizes or max(sizes) - min(sizes) <= 1
    assert len(sizes) == partitions or not sizes or max(sizes) <= LEAST_SHARE


def test_a_small_batch_stays_together() -> None:
    assert in_slices(20, 4, 3) == {3: (0, 20)}


def test_a_key_is_the_text_of_its_column_or_an_array_of_texts() -> None:
    rows = pa.RecordBatch.from_pydict({"id": [7, None], "name": ["a,b", 'q"']})
    assert key_texts(rows, ["id"]) == [b"7", b""]
    assert key_texts(rows, ["name"]) == [b"a,b", b'q"']
    assert key_texts(rows, ["id", "name"]) == [b'["7","a,b"]', b'[null,"q\\""]']
    assert partition_of(b"7", 4) == zlib.crc32(b"7") % 4
