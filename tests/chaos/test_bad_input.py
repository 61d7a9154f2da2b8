"""Whatever comes in: it is set aside with a reason or refused with clear words, its neighbours pass, the stream moves on."""

import json
import random
from collections import Counter
from collections.abc import Iterable

import pyarrow as pa
from confluent_kafka import Producer

from headrace.stream import topics
from headrace.stream.kafka import Connection
from headrace.stream.registry import Registry
from tests.chaos.pushing import GOOD_JSON, apply, name_of, published, pushed
from tests.chaos.run import SETTLED_S
from tests.stack import Platform, eventually

CAP = 1_000_000
MOVES_ON_S = 10  # in a dataset that is already at work
DEEP = b"[" * 2_000 + b"]" * 2_000


def reasons(platform: Platform, dataset: str) -> Counter[str]:
    """How many rows each reason has set aside, as everybody sees it."""
    found: Counter[str] = Counter()
    for cluster in platform.client.quarantine.get(dataset).clusters:
        found[f"{cluster.stage} {cluster.reason}"] += cluster.rows
    return found


def check(
    platform: Platform, dataset: str, good: Iterable[int], bad: dict[str, int], within_s: float = SETTLED_S
) -> None:
    """The good rows are published, the bad ones in quarantine, and the books say so."""
    eventually(lambda: published(platform, dataset) == sorted(good), within_s, "the neighbours are published")
    ledger = platform.client.datasets.wait_settled(dataset, timeout_s=SETTLED_S)
    assert reasons(platform, dataset) == bad
    assert ledger.balanced, ledger


def test_lines_of_a_csv_file(platform: Platform) -> None:
    lines = [
        b"id,note",
        b"1,good",
        b'2,"never closed',
        b"3,good",
        b'4,"closed" early',
        b"5,good",
        b"6,one,too,many",
        b'7,"a ""quoted"" word,',
        b'and a line end"',
        b"8," + b"x" * (CAP + 1),
        b"9,good",
        b"10,\xff\xfe",
        b"\x00\x9f\x92" + random.Random(1).randbytes(60).replace(b"\n", b"").replace(b'"', b""),
        b"11,good",
    ]
    dataset = name_of("csv")
    (platform.files / f"{dataset}.csv").write_bytes(b"\n".join(lines) + b"\n")
    apply(platform, dataset, f"{{type: file, path: {dataset}.csv}}")
    bad = {"ingest unreadable_row": 5, "ingest too_large": 1}
    check(platform, dataset, [1, 3, 5, 7, 9, 11], bad)


BAD_JSON = {
    "not a number": b'{"id": 2, "x": NaN}',
    "infinity": b'{"id": 3, "x": Infinity}',
    "negative infinity": b'{"id": 4, "x": -Infinity}',
    "lone surrogate": rb'{"id": 5, "note": "\ud800"}',
    "2,000 deep": b'{"id": 6, "note": ' + DEEP + b"}",
    "broken off": b'{"id": 7, "x":',
    "a list": b"[8]",
    "random bytes": b"\xfe" + random.Random(2).randbytes(40).replace(b"\n", b""),
}
TOO_LARGE = b'{"id": 9, "note": "' + b"x" * (CAP + 1) + b'"}'


def test_lines_of_a_json_file(platform: Platform) -> None:
    dataset = name_of("jsonl")
    lines = [GOOD_JSON[0], *BAD_JSON.values(), GOOD_JSON[1], TOO_LARGE, GOOD_JSON[2]]
    (platform.files / f"{dataset}.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    apply(platform, dataset, f"{{type: file, path: {dataset}.jsonl}}")
    check(platform, dataset, [1, 10, 20], {"ingest unreadable_row": len(BAD_JSON), "ingest too_large": 1})


def test_lines_of_a_push(platform: Platform, open_dataset: str) -> None:
    body = b"\n".join([GOOD_JSON[1], *BAD_JSON.values(), TOO_LARGE, GOOD_JSON[2]])
    answer = pushed(platform, open_dataset, body)
    assert answer.status_code == 202, answer.text
    assert (answer.json()["accepted"], answer.json()["quarantined"]) == (2, len(BAD_JSON) + 1)
    bad = {"ingest unreadable_row": len(BAD_JSON), "ingest too_large": 1}
    check(platform, open_dataset, [1, 10, 20], bad, MOVES_ON_S)


def test_a_row_that_the_sql_makes_too_large(platform: Platform) -> None:
    dataset = name_of("grown")
    apply(platform, dataset, "{type: http_push}", "transform: {sql: 'SELECT id, repeat(note, 20) AS note FROM input'}")
    body = b"\n".join([GOOD_JSON[0], b'{"id": 2, "note": "%s"}' % (b"x" * 900_000), GOOD_JSON[1]])
    eventually(lambda: pushed(platform, dataset, body).status_code == 202, SETTLED_S, "ingest takes pushes")
    check(platform, dataset, [1, 10], {"transformer too_large": 1})


def test_a_body_of_another_kind_is_refused_as_a_whole(platform: Platform, open_dataset: str) -> None:
    for kind in ("application/json", "application/vnd.apache.arrow.stream"):
        for body in (random.Random(3).randbytes(500), b"[" * 2_000, b""):
            answer = pushed(platform, open_dataset, body, kind)
            assert answer.status_code == 400, (kind, body[:10], answer.text)
            assert answer.json()["detail"]
            assert answer.json()["next"]
    assert pushed(platform, open_dataset, GOOD_JSON[1]).status_code == 202
    check(platform, open_dataset, [1, 10], {})


def test_numbers_that_arrow_says_are_none_stay_what_they_are(platform: Platform, open_dataset: str) -> None:
    rows = pa.table({"id": [2, 3, 4], "x": [float("nan"), float("inf"), float("-inf")]})
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, rows.schema) as writer:
        writer.write_table(rows)
    kind = "application/vnd.apache.arrow.stream"
    assert pushed(platform, open_dataset, buffer.getvalue().to_pybytes(), kind).status_code == 202
    check(platform, open_dataset, [1, 2, 3, 4], {})
    seen = platform.client.query(f"SELECT id, toString(x) FROM {open_dataset} ORDER BY id").rows
    assert [text for _, text in seen] == ["1.5", "nan", "inf", "-inf"]


def test_bytes_that_others_write_into_the_topics(platform: Platform, open_dataset: str) -> None:
    """In every topic between two stages: each record goes aside for its own reason, and later rows pass."""
    eventually(lambda: published(platform, open_dataset) == [1], SETTLED_S, "the first row is published")
    registry, producer = (
        Registry(platform.stack.registry_url),
        Producer(Connection(platform.stack.bootstrap_servers).client()),
    )
    between = {
        "stager": topics.raw(open_dataset),
        "transformer": topics.staged(open_dataset),
        "quality": topics.transformed(open_dataset, 1),
        "loader": topics.validated(open_dataset, 1),
    }
    for topic in between.values():
        latest = registry.latest(topics.subject(topic))
        assert latest is not None
        header = b"\0" + latest[0].to_bytes(4, "big")
        random_bytes = random.Random(4).randbytes(80)
        for value in (b"\xff" + random_bytes, header + random_bytes, header + b"\x02", b"\0\x7f\xff\xff\xffx", None):
            producer.produce(topic, value, partition=0)
    assert producer.flush(30) == 0
    assert pushed(platform, open_dataset, GOOD_JSON[1]).status_code == 202
    eventually(lambda: published(platform, open_dataset) == [1, 10], MOVES_ON_S, "later rows pass")
    expected = {
        f"{stage} {reason}": count
        for stage in between
        for reason, count in {"not_wire_format": 1, "undecodable": 2, "unknown_schema": 1, "missing_value": 1}.items()
    }
    eventually(
        lambda: reasons(platform, open_dataset) == expected, SETTLED_S, f"quarantine holds {json.dumps(expected)}"
    )
