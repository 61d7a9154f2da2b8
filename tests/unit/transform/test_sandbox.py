"""SQL that eats memory or time is stopped with an error, and nobody else notices."""

import contextlib
import errno
import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.errors import Fatal, Fenced
from headrace.transform.engine import Engine
from headrace.transform.isolate import RowError, TooCostly
from headrace.transform.reference import append, create
from headrace.transform.sandbox import Sandbox
from headrace.transform.store import Store
from headrace.transform.wire import Box
from tests.stack import eventually
from tests.unit.transform.staged import run, transform_on

ROWS = pa.RecordBatch.from_pylist([{"a": at, "s": "x" * 60} for at in range(20)])
FINE = "SELECT a + 1 AS b FROM input WHERE a > 2"
#: One call of a function, within which DuckDB looks at no limit and does not stop when asked to.
DEAF = "SELECT levenshtein(repeat(s, 3000), repeat('y', 100000)) AS a FROM input"
#: Memory that DuckDB does not count.
GREEDY = "SELECT replace(repeat('a', 1000000), 'a', repeat(s, 100)) AS a FROM input"
SPARE = 150 << 20

COSTLY = [
    DEAF,
    GREEDY,
    "SELECT unnest(range(100000000)) AS a FROM input",
    "SELECT len(range(1000000000)) AS a FROM input",
    "SELECT list_reduce(list_transform(range(60), lambda x: s), lambda x, y: concat(x, x, y)) AS a FROM input",
    "SELECT list_transform(range(2000), lambda x: list_transform(range(2000), lambda y: x * y + a)) AS a FROM input",
    "SELECT repeat(s, 1000000) AS a FROM input",
    "SELECT bitstring(a::VARCHAR, 2000000000) AS a FROM input WHERE a < 2",
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox("128MB", 4.0, SPARE)
    yield made
    made.close()


@pytest.mark.parametrize("sql", COSTLY)
def test_what_takes_too_much_is_stopped_and_what_comes_next_is_computed(sandbox: Sandbox, sql: str) -> None:
    with pytest.raises(TooCostly, match=r"the SQL takes (longer|more memory) than"):
        sandbox.query(sql, ROWS)
    assert sandbox.query(FINE, ROWS).num_rows == 17


def test_another_sandbox_does_not_notice(sandbox: Sandbox) -> None:
    other = Sandbox("128MB", 4.0)
    other.define(["CREATE OR REPLACE MACRO mine(x) AS x + 1"])
    before = other.query("SELECT mine(a) AS a FROM input", ROWS)
    with pytest.raises(TooCostly):
        sandbox.query(GREEDY, ROWS)
    assert other.query("SELECT mine(a) AS a FROM input", ROWS).equals(before)
    other.close()


def test_an_engine_alone_does_not_stop_it() -> None:
    """The control, within bounds: a call runs to its end, long after it was to stop."""
    rows = pa.RecordBatch.from_pylist([{"s": "x" * 9000}])
    began = time.monotonic()
    with contextlib.suppress(TooCostly):
        Engine(query_limit_s=0.001).query("SELECT levenshtein(s || s, repeat('y', 9000)) AS a FROM input", rows)
    assert time.monotonic() - began > 20 * 0.001


def test_functions_are_there_again_when_a_process_had_to_be_ended() -> None:
    sandbox = Sandbox("128MB", 4.0, SPARE)
    sandbox.define(["CREATE OR REPLACE MACRO mine(x) AS x + 1"])
    with pytest.raises(TooCostly):
        sandbox.query(GREEDY, ROWS)
    assert sandbox.query("SELECT mine(a) AS a FROM input", ROWS).column(0)[0].as_py() == 1
    sandbox.close()


def test_reference_data_is_there_again_when_a_process_had_to_be_ended(tmp_path: Path) -> None:
    sandbox = Sandbox("128MB", 4.0, SPARE, Store(tmp_path / "kept"))
    sandbox.define(["CREATE OR REPLACE TEMP MACRO mine(x) AS x + 1"])
    sandbox.load((create("other"), ROWS.slice(0, 0)), (append("other", ["a", "s"]), _changes()))
    joined = "SELECT mine(i.a) FROM input AS i JOIN other AS o ON o.a = i.a"
    before = sandbox.query(joined, ROWS)
    assert before.num_rows == 20
    with pytest.raises(TooCostly, match="more memory"):
        sandbox.query(GREEDY, ROWS)
    assert sandbox.query(joined, ROWS).equals(before)
    sandbox.close()


def test_a_try_that_is_to_be_short_is_stopped_early_and_reference_data_stays(tmp_path: Path) -> None:
    sandbox = Sandbox("128MB", 60.0, SPARE, Store(tmp_path / "kept"))
    sandbox.load((create("other"), ROWS.slice(0, 0)), (append("other", ["a", "s"]), _changes()))
    with pytest.raises(TooCostly, match=r"longer than 0\.2 s"):
        sandbox.query(
            "SELECT (SELECT count(*) FROM range(1000000000000) AS n(n) WHERE n.n % 7 = a) AS a FROM input", ROWS, 0.2
        )
    assert sandbox.query("SELECT i.a FROM input AS i JOIN other AS o ON o.a = i.a", ROWS).num_rows == 20
    sandbox.close()


def _changes() -> pa.RecordBatch:
    place = pa.array(range(len(ROWS)), pa.int64())
    added: list[pa.Array] = [place, pa.array([False] * len(ROWS)), place]
    return pa.RecordBatch.from_arrays([*ROWS.columns, *added], names=["a", "s", "__at", "__deleted", "__age"])


def test_who_is_told_to_stop_is_not_blamed() -> None:
    sandbox = Sandbox()
    assert sandbox.query(FINE, ROWS).num_rows == 17
    process = sandbox._process
    assert process is not None
    assert process.pid is not None
    os.kill(process.pid, signal.SIGTERM)
    eventually(lambda: not process.is_alive(), 10, "the process ended")
    with pytest.raises(Fenced):
        sandbox.query(FINE, ROWS)
    sandbox.close()


def test_results_and_errors_are_those_of_an_engine() -> None:
    engine, sandbox = Engine(), Sandbox("128MB", 60.0)
    part = ROWS.slice(3, 5)
    for rows in (ROWS, part, ROWS.slice(0, 0)):
        assert sandbox.query(FINE, rows).equals(engine.query(FINE, rows))
    assert sandbox.produced(FINE, ROWS.schema) == engine.produced(FINE, ROWS.schema)
    for wrong, kind in (("SELECT nosuch FROM input", Fatal), ("SELECT CAST(s AS INT) AS n FROM input", RowError)):
        said = []
        for each in (engine, sandbox):
            with pytest.raises(kind) as raised:
                each.query(wrong, ROWS)
            said.append((type(raised.value), str(raised.value)))
        assert said[0] == said[1]
    sandbox.close()


def test_sql_that_takes_too_much_whatever_the_row_stops_the_dataset() -> None:
    sandbox = Sandbox("128MB", 4.0, SPARE)
    stage = transform_on(sandbox, transform={"sql": "SELECT a, len(range(1000000000)) AS n FROM input"})
    with pytest.raises(Fatal, match=r"fails on every row: the SQL takes (longer|more memory) than"):
        run(stage, [{"a": 1}, {"a": 2}])
    sandbox.close()


def test_how_a_process_ended_is_read_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other starts a process meanwhile, and looks at how the first one ended. Without the lock, it had been told to stop."""
    first, both, read = Sandbox("128MB", 4.0), threading.Barrier(2), forkserver.read_signed
    assert first._process is not None
    ended = first._process.sentinel

    def reading(place: int) -> int:
        if place == ended:
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(2)
        found: int = read(place)
        return found

    monkeypatch.setattr(forkserver, "read_signed", reading)
    os.kill(first._process.pid or 0, signal.SIGKILL)
    assert wait([ended], 10)
    others: list[Sandbox] = []
    other = threading.Thread(target=lambda: others.append(Sandbox("128MB", 4.0)))
    other.start()
    with pytest.raises(TooCostly, match="SIGKILL"):
        first.query(FINE, ROWS)
    other.join()
    for each in (first, *others):
        each.close()


def test_an_engine_that_cannot_be_had_is_said_at_once() -> None:
    """Without that, one process after the other was started, and ended."""
    sandbox = Sandbox("much")
    with pytest.raises(Fatal, match=r"cannot be started: .*Memory"):
        sandbox.define(["SELECT 1"])
    sandbox.close()


def test_processes_that_end_before_they_answer_are_not_started_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    start = Sandbox._start

    def ending(self: Sandbox) -> None:
        start(self)
        assert self._process is not None
        started.append(self._process.pid or 0)
        assert len(started) < 4
        os.kill(started[-1], signal.SIGKILL)

    monkeypatch.setattr(Sandbox, "_start", ending)
    sandbox = Sandbox("128MB", 4.0)
    with pytest.raises(Fenced, match="no process can be had"):
        sandbox.define(["SELECT 1"])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux shows them")
def test_a_sandbox_that_is_closed_holds_no_file_though_something_still_refers_to_it() -> None:
    """A pump refers to itself, and Python's collector comes by once in an hour."""
    kept = [Sandbox("128MB", 4.0)]
    kept[0].close()
    before = _open_files()
    for _ in range(3):
        kept.append(Sandbox("128MB", 4.0))
        kept[-1].close()
    assert _open_files() == before


def test_where_no_process_can_be_started_now_it_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """An OSError would stop the dataset for good."""

    def none_left() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    sandbox = Sandbox("128MB", 4.0, SPARE)
    monkeypatch.setattr(Box, "new", none_left)
    with pytest.raises(Fenced, match="Too many open files"):
        Sandbox("128MB", 4.0)
    with pytest.raises(Fenced, match="Too many open files"):
        sandbox.query(GREEDY, ROWS)
    sandbox.close()


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_what_fails_in_an_unforeseen_way_is_no_matter_of_rows(sandbox: Sandbox) -> None:
    with pytest.raises(Fatal, match="unforeseen way: AttributeError"):
        sandbox._ask("nosuch")
    assert sandbox.query(FINE, ROWS).num_rows == 17
