"""A member frozen between poll and commit is refused once it is replaced; with the authority of the commit it doubles rows."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pyarrow as pa

from headrace.stream import topics
from headrace.stream.codec import Codec, avro_schema
from tests.chaos.member import COMMITTED, REFUSED
from tests.contract.stream.seams import SCHEMA
from tests.contract.stream.test_kafka import KafkaPair
from tests.stack import QUICK, Platform, Stack, eventually

ROWS = list(range(100))


@contextmanager
def member(stack: Stack, pair: KafkaPair, *how: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of `tests.chaos.member`."""
    told = {"HEADRACE_BOOTSTRAP_SERVERS": stack.bootstrap_servers, "HEADRACE_REGISTRY_URL": stack.registry_url}
    command = [sys.executable, "-m", "tests.chaos.member", pair.dataset, *how]
    with subprocess.Popen(command, env={**os.environ, **QUICK, **told}) as process:
        try:
            yield process
        finally:
            process.kill()


def moved(pair: KafkaPair) -> list[int]:
    """The rows that have been written on."""
    rows = Codec(avro_schema(SCHEMA, pair.dataset)).decode(pair.values(topics.transformed(pair.dataset, 1))).rows
    return sorted(n.as_py() for n in rows.column("n"))


def woken(stack: Stack, *how: str) -> tuple[int, list[int]]:
    """How the commit of a member ends that was frozen until another had moved all rows; and which rows stand then."""
    pair = KafkaPair(stack)
    avro = avro_schema(SCHEMA, pair.dataset)
    schema_id = pair.registry.register(topics.subject(topics.staged(pair.dataset)), avro)
    pair.send(Codec(avro).encode(pa.record_batch([pa.array(ROWS, pa.int64())], schema=SCHEMA), schema_id))
    with member(stack, pair, "1", *how) as frozen:
        stopped = psutil.Process(frozen.pid)
        eventually(lambda: stopped.status() == psutil.STATUS_STOPPED, 60, "the member has polled")
        with member(stack, pair, "2"):
            eventually(lambda: moved(pair) == ROWS, 60, "its successor has moved the rows")
            stopped.resume()
            return frozen.wait(120), moved(pair)


def test_a_replaced_member_is_refused(platform: Platform) -> None:
    assert woken(platform.stack, "freezes") == (REFUSED, ROWS)


def test_with_the_authority_of_the_commit_it_doubles_rows(platform: Platform) -> None:
    assert woken(platform.stack, "freezes", "late") == (COMMITTED, sorted(ROWS + ROWS))
