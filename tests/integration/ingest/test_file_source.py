"""A file source is read once, whatever happens to the process that reads it."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pyarrow as pa
import pytest

from headrace.stream import topics
from services.ingest.core.partition import partition_of
from tests.integration.ingest.running import Ingest, Platform, ingest, until

ROWS = 20_000


def orders(first: int, rows: int) -> str:
    return "".join(f'{n},"customer {n % 97}",{n * 0.25},2024-01-{1 + n % 28:02d}\n' for n in range(first, first + rows))


HEADER = "order_id,customer,amount,day\n"


def write_orders(file: Path, rows: int = ROWS) -> None:
    file.write_text(HEADER + orders(0, rows))


def assert_each_once(table: pa.Table, rows: int) -> None:
    ids = [int(cast(int, value)) for value in table.column("order_id").to_pylist()]
    assert sorted(ids) == list(range(rows))


def test_a_csv_file_arrives_whole_with_its_types_and_balanced_books(
    platform: Platform, dataset: str, port: int, tmp_path: Path
) -> None:
    write_orders(tmp_path / "orders.csv")
    platform.apply(dataset, {"type": "file", "path": "orders.csv"})
    with ingest(platform, port, tmp_path) as running:
        until(lambda: platform.caught_up(dataset, ROWS), "the file is read")
        table = platform.rows(dataset)
        assert_each_once(table, ROWS)
        types = {field.name: field.type for field in table.schema}
        assert types["order_id"] == pa.int64()
        assert types["amount"] == pa.float64()
        assert types["day"] == pa.date32()
        assert set(table.column("_op").to_pylist()) == {"insert"}
        assert platform.books(dataset) == {"rows_in": ROWS, "emitted": ROWS}
        spread = {partition for partition, *_ in platform.messages(topics.raw(dataset))}
        assert spread == {0, 1}
        assert running.stop() == 0


def test_a_finished_file_is_not_read_again_and_a_grown_one_continues(
    platform: Platform, dataset: str, port: int, tmp_path: Path
) -> None:
    file = tmp_path / "orders.csv"
    write_orders(file, 100)
    platform.apply(dataset, {"type": "file", "path": "orders*.csv"})
    with ingest(platform, port, tmp_path):
        until(lambda: platform.caught_up(dataset, 100), "the file is read")
    with ingest(platform, port, tmp_path):
        with file.open("a") as more:
            more.write(orders(100, 50))
        until(lambda: platform.caught_up(dataset, 150), "what was appended is read")
        (tmp_path / "orders-2.csv").write_text(HEADER + orders(150, 50))
        until(lambda: platform.caught_up(dataset, 200), "the second file is read")
    assert_each_once(platform.rows(dataset), 200)


@pytest.mark.parametrize("done", [0.1, 0.5, 0.8])
def test_kill_9_between_batches_loses_nothing_and_doubles_nothing(
    platform: Platform, dataset: str, port: int, tmp_path: Path, another_port: Callable[[], int], done: float
) -> None:
    write_orders(tmp_path / "orders.csv")
    platform.apply(dataset, {"type": "file", "path": "orders.csv"})
    first = Ingest(platform, port, tmp_path, max_batch_rows=20).wait()
    try:
        until(lambda: first.rows_in(dataset) >= done * ROWS, "a part of the file is read")
    finally:
        first.kill()
    assert platform.rows_read(dataset) < ROWS, "the test came too late to interrupt anything"
    with ingest(platform, another_port(), tmp_path):
        until(lambda: platform.caught_up(dataset, ROWS), "the file is read to its end")
    assert_each_once(platform.rows(dataset), ROWS)
    assert platform.books(dataset) == {"rows_in": ROWS, "emitted": ROWS}


def test_without_its_position_the_same_file_is_read_twice(
    platform: Platform, dataset: str, port: int, tmp_path: Path
) -> None:
    """The control of the tests above: it is the committed position that keeps a restart from reading again."""
    write_orders(tmp_path / "orders.csv", 500)
    platform.apply(dataset, {"type": "file", "path": "orders.csv"})
    with ingest(platform, port, tmp_path):
        until(lambda: platform.caught_up(dataset, 500), "the file is read")
    platform.forget_position(dataset)
    with ingest(platform, port, tmp_path):
        until(lambda: len(platform.messages(topics.raw(dataset))) >= 1000, "the file is read again")
    assert platform.column(dataset, "order_id") == sorted([*range(500), *range(500)])


def test_instances_join_and_leave_and_each_row_is_there_once(
    platform: Platform, dataset: str, port: int, tmp_path: Path, another_port: Callable[[], int]
) -> None:
    write_orders(tmp_path / "orders.csv")
    platform.apply(dataset, {"type": "file", "path": "orders.csv"}, key=["order_id"])
    with ingest(platform, port, tmp_path, max_batch_rows=500) as first:
        until(lambda: platform.position(dataset) is not None, "the first instance reads")
        with ingest(platform, another_port(), tmp_path, max_batch_rows=500):
            first.stop()
            until(lambda: platform.caught_up(dataset, ROWS), "the second instance reads on")
    assert_each_once(platform.rows(dataset), ROWS)


def test_a_keyed_row_is_where_any_producer_would_put_it(
    platform: Platform, dataset: str, port: int, tmp_path: Path
) -> None:
    write_orders(tmp_path / "orders.csv", 300)
    platform.apply(dataset, {"type": "file", "path": "orders.csv"}, key=["customer"], partitions=3)
    with ingest(platform, port, tmp_path):
        until(lambda: platform.caught_up(dataset, 300), "the file is read")
    found = platform.messages(topics.raw(dataset))
    assert {key for _, _, key, _ in found} == {f"customer {n}".encode() for n in range(97)}
    assert all(partition == partition_of(key or b"", 3) for partition, _, key, _ in found)


def test_bad_rows_are_set_aside_and_their_neighbours_pass(
    platform: Platform, dataset: str, port: int, tmp_path: Path
) -> None:
    good = "".join(f"{n},name {n}\n" for n in range(2000))
    bad = (
        b'2000,"never closed\n'
        + b"2001,one,two\n"
        + b"2002,\xff\xfe\n"
        + b"x,not a number\n"
        + b"2004,"
        + b"y" * 1_100_000
        + b"\n"
    )
    (tmp_path / "a.csv").write_bytes(b"id,name\n" + good.encode() + bad + b"2005,last, but one\n2006,last")
    platform.apply(dataset, {"type": "file", "path": "a.csv"})
    with ingest(platform, port, tmp_path):
        until(lambda: platform.caught_up(dataset, 2007), "the file is read")
    ids = platform.column(dataset, "id")
    assert ids == [*range(2000), 2006]
    found = {record["source"]: record for record in platform.quarantine(dataset)}
    reasons = {int(source.rpartition(":")[2]): record["reason"] for source, record in found.items()}
    assert reasons == {
        2002: "unreadable_row",
        2003: "unreadable_row",
        2004: "unreadable_row",
        2005: "wrong_type",
        2006: "too_large",
        2007: "unreadable_row",
    }
    assert all(record["stage"] == "ingest" for record in found.values())
    books = platform.books(dataset)
    assert books["rows_in"] == 2007
    assert books["emitted"] == 2001
    assert books["quarantined:unreadable_row"] == 4


def test_json_lines_that_no_parser_likes_do_not_stop_the_others(
    platform: Platform, dataset: str, port: int, tmp_path: Path
) -> None:
    lines = [b'{"id":%d,"v":%d.5}' % (n, n) for n in range(1500)]
    bad = [
        b'{"id":1500,"v":NaN}',
        b'{"id":1501,"v":-Infinity}',
        b'{"id":1502,"s":"\\ud800"}',
        b'{"id":1503,"deep":' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'{"id":1,"id":2}',
        b"null",
        b"\x00\xff\x17",
        b'{"id":99999999999999999999999999}',
    ]
    for at, line in enumerate(bad):
        lines.insert(100 * at, line)
    with gzip.open(tmp_path / "events.jsonl.gz", "wb") as packed:
        packed.write(b"\n".join(lines))
    platform.apply(dataset, {"type": "file", "path": "events.jsonl.gz"}, partitions=1)
    with ingest(platform, port, tmp_path):
        until(lambda: platform.caught_up(dataset, 1508), "the file is read")
    assert platform.rows(dataset).column("id").to_pylist() == list(range(1500))
    assert len(platform.quarantine(dataset)) == len(bad)
    assert {record["reason"] for record in platform.quarantine(dataset)} == {"unreadable_row", "wrong_type"}


def test_a_new_version_says_for_itself_that_it_has_caught_up(
    platform: Platform, dataset: str, port: int, tmp_path: Path
) -> None:
    write_orders(tmp_path / "orders.csv", 100)
    platform.apply(dataset, {"type": "file", "path": "orders.csv"})

    def caught_up(version: int) -> bool:
        return platform.caught_up(dataset, 100) and (platform.position(dataset) or {})["version"] == version

    with ingest(platform, port, tmp_path):
        until(lambda: caught_up(1), "the file is read")
        platform.apply(dataset, {"type": "file", "path": "*.csv"}, version=2)
        until(lambda: caught_up(2), "the new version has looked as well")
