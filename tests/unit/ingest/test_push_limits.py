"""How much may be pushed: sizes, rates, and bodies that are compressed."""

import gzip
import io
import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from headrace.stream.wishes import Wish
from services.ingest.connectors.http_push.encoding import Measure, unpacked, unpacker
from services.ingest.connectors.http_push.problem import Problem
from services.ingest.connectors.http_push.rate import TokenBucket
from tests.unit.ingest.pushing import Clock, dataset, problem, served

Packer = Callable[[bytes], bytes]


def ndjson(rows: int) -> bytes:
    return b"".join(b'{"id": %d}\n' % n for n in range(rows))


def brotli(body: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    stream = pa.CompressedOutputStream(sink, "brotli")
    stream.write(body)
    stream.close()
    return sink.getvalue().to_pybytes()


PACKERS: dict[str, Packer] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "br": brotli,
}


@cache
def bomb(encoding: str) -> bytes:
    """64 MiB of blanks."""
    packed = PACKERS[encoding](b" " * (64 << 20))
    assert len(packed) < 1 << 17
    return packed


every_encoding = pytest.mark.parametrize("encoding", PACKERS)


@every_encoding
def test_a_compressed_body_is_the_same_as_the_plain_one(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service:
        packed = PACKERS[encoding](ndjson(3))
        assert service.post(packed, Content_Encoding=encoding, Idempotency_Key="k").json()["accepted"] == 3
        plain = service.post(ndjson(3), Idempotency_Key="k")
        assert plain.json()["repeated"], "the key was accepted with the same rows"
        assert service.broker.rows == [{"id": n} for n in range(3)]


@every_encoding
def test_a_bomb_is_given_up_before_it_is_unpacked(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service:
        assert (
            "limits.max_body_bytes" in problem(service.post(bomb(encoding), Content_Encoding=encoding), 413)["detail"]
        )
    with served(dataset(limits={"max_ratio": 10}), monkeypatch, max_body_bytes=1 << 30) as service:
        assert "limits.max_ratio" in problem(service.post(bomb(encoding), Content_Encoding=encoding), 413)["detail"]
        assert service.broker.rows == []


@every_encoding
def test_what_is_unpacked_before_a_bomb_is_given_up_is_bounded(encoding: str) -> None:
    pieces: list[int] = []

    class Watched(Measure):
        def unpacked(self, piece: bytes) -> bytes:
            pieces.append(len(piece))
            return super().unpacked(piece)

    with pytest.raises(Problem, match="max_body_bytes"):
        unpacked(bomb(encoding), unpacker(encoding), Watched(1 << 20, 1_000_000))
    assert sum(pieces) <= (1 << 20) + (8 << 20)


@every_encoding
@given(body=st.binary(max_size=2000), cut=st.integers(1, 4))
def test_what_was_packed_is_unpacked_and_a_cut_body_is_refused(encoding: str, body: bytes, cut: int) -> None:
    packed = PACKERS[encoding](body)
    assert unpacked(packed, unpacker(encoding), Measure(1 << 20, 200)) == body
    if len(packed) <= cut:
        return  # nothing is left of it: an empty body
    with pytest.raises(Problem) as refused:
        unpacked(packed[:-cut], unpacker(encoding), Measure(1 << 20, 200))
    assert refused.value.status == 400


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_several_packed_in_a_row_are_one_body(encoding: str) -> None:
    pack = PACKERS[encoding]
    assert unpacked(pack(b"one ") + pack(b"two"), unpacker(encoding), Measure(100, 200)) == b"one two"


def test_damage_and_unknown_encodings_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service:
        assert "damaged" in problem(service.post(b"not gzip", Content_Encoding="gzip"), 400)["detail"]
        assert "gzip" in problem(service.post(b"x", Content_Encoding="compress"), 415)["next"]
        assert service.post(b'{"id": 1}', Content_Encoding="identity").status_code == 202


def test_a_dataset_may_take_less_than_the_platform_and_never_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(limits={"max_body_bytes": 100}), monkeypatch) as service:
        assert service.post(b" " * 90 + b'{"id": 1}').status_code == 202
        assert "100 bytes" in problem(service.post(b" " * 92 + b'{"id": 1}'), 413)["detail"]
    with served(dataset(limits={"max_body_bytes": 1000}), monkeypatch, max_body_bytes=100) as service:
        assert "100 bytes" in problem(service.post(b" " * 92 + b'{"id": 1}'), 413)["detail"]


def arrow(rows: int) -> bytes:
    table = pa.table({"id": list(range(rows))})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-ndjson", ndjson),
        ("application/json", lambda rows: json.dumps([{"id": n, "tags": [1, 2]} for n in range(rows)]).encode()),
        ("application/vnd.apache.arrow.stream", arrow),
    ],
)
def test_a_request_has_only_so_many_rows(
    kind: str, body: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(dataset(limits={"rows_per_request": 3}), monkeypatch) as service:
        assert service.post(body(3), kind).json()["accepted"] == 3
        assert "has 4 rows, limits.rows_per_request is 3" in problem(service.post(body(4), kind), 413)["detail"]


@pytest.mark.parametrize(("limit", "amount"), [("rows_per_second", 10), ("bytes_per_second", len(ndjson(10)))])
def test_who_pushes_too_fast_is_told_when_to_go_on(limit: str, amount: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    with served(dataset(limits={limit: amount}), monkeypatch, clock=clock) as service:
        assert [service.post(ndjson(10)).status_code for _ in range(2)] == [202, 202], "the second goes into debt"
        refused = service.post(ndjson(10))
        assert limit in problem(refused, 429)["detail"]
        assert refused.headers["retry-after"] == "1"
        clock.now += 0.9
        assert service.post(ndjson(10)).status_code == 429
        clock.now += 0.1
        assert service.post(ndjson(10)).status_code == 202
        assert len(service.broker.rows) == 30


def test_the_control_without_a_rate_nobody_is_too_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service:
        assert {service.post(ndjson(10)).status_code for _ in range(20)} == {202}


@given(amounts=st.lists(st.tuples(st.integers(1, 50), st.floats(0, 3)), max_size=50))
def test_no_more_passes_over_time_than_the_rate_and_one_debt(amounts: list[tuple[int, float]]) -> None:
    clock = Clock(0.0)
    bucket, passed = TokenBucket(10, clock), 0
    for amount, pause in amounts:
        clock.now += pause
        if not bucket.wait_s():
            bucket.charge(amount)
            passed += amount
        assert passed <= 10 * clock.now + 10 + 50 + 1e-6
        clock.now += bucket.wait_s()
        assert bucket.wait_s() < 1e-9, "after the time it names, something passes"


def test_a_full_queue_is_answered_with_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch, queue_bytes=10) as service:
        refused: Any = service.post(ndjson(10))
        assert "wait for the broker" in problem(refused, 503)["detail"]
        assert int(refused.headers["retry-after"]) > 0
        assert service.post(b'{"i":1}').status_code == 202


def test_a_paused_dataset_takes_nothing_and_says_who_wants_it_so(monkeypatch: pytest.MonkeyPatch) -> None:
    live = dataset()
    with served(live, monkeypatch) as service:
        pause = Wish(live.name, "pause", datetime(2026, 1, 2, tzinfo=UTC), "ann", "the table is moved")
        service.desk.paused = lambda name: pause if name == live.name else None
        answer = service.post(ndjson(3))
        said = problem(answer, 503)
        assert "paused by ann since 2026-01-02T00:00:00+00:00 because: the table is moved" in said["detail"]
        assert int(answer.headers["Retry-After"]) >= 1
        denied = service.post(ndjson(3), token="wrong").text
        assert "ann since" not in denied, "who may not push learns nothing of it"
        service.desk.paused = lambda _: None
        assert service.post(ndjson(3)).json()["accepted"] == 3, "the control: resumed, it takes the same rows"
