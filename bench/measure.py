"""Measures a program that moves records from one topic to another, from outside and the same way for everyone.

Progress is the last stable offset of the output topic: what a read_committed consumer could have read.
"""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

#: What a broker says of a topic that was made a moment ago.
_NO_LEADER_YET: Final = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run did after its warm-up. Units: input rows a second, CPU seconds a million input rows, bytes."""

    rows: int
    rows_s: float
    cpu_s_per_million: float
    rss_bytes: int


class Progress:
    """How many records a topic holds, transaction markers included (one in thousands)."""

    def __init__(self, bootstrap_servers: str, topic: str, partitions: int) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers})
        latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        self._asked = {TopicPartition(topic, number): latest for number in range(partitions)}
        self._seen = 0

    def __call__(self) -> int:
        answers = self._admin.list_offsets(self._asked, isolation_level=IsolationLevel.READ_COMMITTED)
        try:
            self._seen = sum(future.result(30).offset for future in answers.values())
        except KafkaException as error:
            if error.args[0].code() not in _NO_LEADER_YET:
                raise
        return self._seen


def measure(
    commands: Sequence[Sequence[str]],
    progress: Progress,
    *,
    input_rows: int,
    output_share: float,
    warm_rows: int,
    limit_s: float,
    log: Path,
) -> Measured:
    """Run `commands` side by side until they have moved `input_rows`, or for `limit_s`, and measure what follows the warm-up.

    Units: `output_share` is output rows per input row. Errors: RuntimeError when a program ends early.
    """
    started = time.monotonic()
    with log.open("wb") as out:
        running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=out) for command in commands]
    try:
        warm: tuple[float, float, int] | None = None
        # What is measured ends at a commit: some commit every few seconds, and the limit may pass in between.
        last = (started, 0.0, 0)
        peak = 0
        while True:
            time.sleep(0.05)
            moved = int(progress() / output_share)
            now, cpu_s = time.monotonic(), sum(_cpu_s(process.pid) for process in running)
            peak = max(peak, sum(_rss_bytes(process.pid) for process in running))
            if any(process.poll() is not None for process in running):
                raise RuntimeError(f"a program ended early, see {log}: {log.read_text(errors='replace')[-2000:]}")
            if moved > last[2]:
                last = (now, cpu_s, moved)
            if warm is None and moved >= max(warm_rows, 1):
                warm = last
            done = warm is not None and moved >= input_rows * 0.999 and moved > warm[2]
            if done or now - started > limit_s:
                break
        if warm is None or last == warm:
            raise RuntimeError(f"nothing moved after the warm-up in {limit_s:g} s, see {log}")
        rows = last[2] - warm[2]
        return Measured(rows, rows / (last[0] - warm[0]), (last[1] - warm[1]) / rows * 1e6, peak)
    finally:
        for process in running:
            _end(process)


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu_s(pid: int) -> float:
    total = 0.0
    for process in _family(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def _rss_bytes(pid: int) -> int:
    total = 0
    for process in _family(pid):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _end(process: subprocess.Popen[bytes]) -> None:
    children = _family(process.pid)[1:]
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in children:
        if child.is_running():
            child.kill()


def cores() -> int:
    """How many processors this machine has."""
    return os.cpu_count() or 1
