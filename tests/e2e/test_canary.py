"""A planted secret is nowhere after a whole life of it: in no log, topic, database file, table, file or answer.

The search finds what the test plants for it in each of these places: that is the control.
"""

import base64
import hmac
import json
import os
import secrets
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote, quote_plus

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from confluent_kafka import Consumer, IsolationLevel, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from pydantic import SecretStr

from deploy.local import stack as local
from deploy.local.credentials import WRITER, master_keys
from headrace.client import Client
from headrace.secrets.keys import new_key
from headrace.stream import topics
from headrace.stream.kafka import Connection
from headrace.stream.kafka import topics as kafka_topics
from tests.integration.login import Login
from tests.stack import Platform, Stack, eventually

INDEXES: Final = (".index", ".timeindex")  # of Kafka: offsets and nothing else, and 10 MB each before they are used
STAGES: Final = ("raw", "staged", "transformed", "validated", "quarantine")


def canary() -> str:
    """A value nobody else has, which is another text once it is quoted for a URL."""
    return f"canary/{secrets.token_hex(12)}+&% q"


def forms(value: str) -> dict[str, bytes]:
    """How a value may be written: as it is, quoted, in hexadecimal, in base64 wherever in a longer text it begins."""
    plain = value.encode()
    found = {
        "plain": plain,
        "JSON": json.dumps(value)[1:-1].encode(),
        "JSON of ClickHouse": value.replace("/", "\\/").encode(),
        "quoted": quote(value, safe="").encode(),
        "quoted path": quote(value).encode(),
        "quoted plus": quote_plus(value).encode(),
        "hex": plain.hex().encode(),
        "HEX": plain.hex().upper().encode(),
        "UTF-16": value.encode("utf-16-le"),
    }
    for before in range(3):
        padded = b"\0" * before + plain
        whole = len(padded) // 3 * 3
        first = (before * 8 + 5) // 6  # characters that hold a bit of what stands before
        for kind, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            found[f"{kind} +{before}"] = encode(padded[:whole])[first:]
    return found


@dataclass(frozen=True, slots=True)
class Before:
    """What was there before the values were made, and cannot hold them: how long the topics were, and when that was."""

    ends: Mapping[tuple[str, int], int]
    at: float

    @classmethod
    def now(cls, bootstrap_servers: str) -> "Before":
        """As it is now."""
        at, admin = time.time(), AdminClient(Connection(bootstrap_servers).client())
        latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        known = admin.list_topics(timeout=30).topics.values()
        places = {TopicPartition(str(each.topic), number): latest for each in known for number in each.partitions}
        found = admin.list_offsets(places, isolation_level=IsolationLevel.READ_UNCOMMITTED)
        return cls(
            {(str(place.topic), place.partition): future.result(30).offset for place, future in found.items()}, at
        )


class Search:
    """Looks for values in all their forms, place by place, in everything that was written since they were made."""

    def __init__(self, values: Mapping[str, str], before: Before) -> None:
        self._before = before
        self._forms = {
            f"{name} ({form})": text for name, value in values.items() for form, text in forms(value).items()
        }
        self.hits: set[tuple[str, str]] = set()
        self.places: dict[str, int] = {}
        self.bytes = 0

    def look(self, kind: str, place: str, content: bytes) -> None:
        self.places[kind] = self.places.get(kind, 0) + 1
        self.bytes += len(content)
        self.hits |= {(f"{kind}: {place}", form) for form, text in self._forms.items() if text in content}

    def files(self, home: Path) -> None:
        """Every file below, as it is; of the lake's also what is in it."""
        for folder, _, names in os.walk(home):
            for path in (Path(folder) / name for name in names if not name.endswith(INDEXES)):
                try:
                    if path.stat().st_mtime < self._before.at - 1:
                        continue
                    self.look(_kind(path.relative_to(home)), str(path), path.read_bytes())
                    if path.suffix == ".parquet":
                        self.look("lake", str(path), repr(pq.read_table(path).to_pydict()).encode())
                except (OSError, pa.ArrowInvalid):  # a part that was merged, a socket, a file that is being written
                    continue

    def topics(self, bootstrap_servers: str) -> None:
        """Every record of every topic, the brokers' own among them: keys, values, headers, committed or not."""
        consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "canary",
                "enable.auto.commit": False,
                "isolation.level": "read_uncommitted",
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
            }
        )
        try:
            known = consumer.list_topics(timeout=30).topics.values()
            left = {(each.topic, number) for each in known for number in each.partitions}
            starts = {place: self._before.ends.get(place, 0) for place in left}
            consumer.assign([TopicPartition(*place, start) for place, start in starts.items()])
            deadline = time.monotonic() + 120
            while left:
                assert time.monotonic() < deadline, f"not read to their ends: {sorted(left)}"
                found: dict[str, list[bytes]] = defaultdict(list)
                for message in consumer.consume(5000, 0.2):
                    topic, number = cast(str, message.topic()), cast(int, message.partition())
                    if (failure := message.error()) is None:
                        found[topic] += _parts(message)
                    else:
                        assert failure.code() == failure._PARTITION_EOF, failure
                        left.discard((topic, number))
                for topic, parts in found.items():
                    self.look("topics", topic, b"\n".join(parts))
        finally:
            consumer.close()

    def warehouse(self, stack: Stack) -> None:
        """Every row of every table, as text."""
        tables = asked(
            stack,
            "SELECT DISTINCT database, table AS name FROM system.parts "
            f"WHERE active AND modification_time >= {int(self._before.at) - 1} FORMAT JSONEachRow",
        )
        for table in map(json.loads, tables.splitlines()):
            name = f"`{table['database']}`.`{table['name']}`"
            if table["database"].lower() in ("system", "information_schema"):
                continue
            self.look("warehouse rows", name, asked(stack, f"SELECT * FROM {name} FORMAT JSONEachRow").encode())


def _parts(message: Message) -> list[bytes]:
    headers: Any = message.headers() or []
    parts = [message.key(), message.value(), *(part for pair in headers for part in pair)]
    return [part.encode() if isinstance(part, str) else part for part in parts if part is not None]


def _kind(path: Path) -> str:
    match path.parts:
        case ["logs", *_]:
            return "logs"
        case ["gateway.db" | "gateway.db-wal" | "gateway.db-shm"]:
            return "gateway's database"
        case ["warehouse", *_]:
            return "warehouse files"
    return "other files"


def asked(stack: Stack, sql: str) -> str:
    """What the warehouse answers to its writer."""
    auth = (WRITER, stack.credentials.warehouse_password.get_secret_value())
    answer = httpx.post(stack.warehouse_url, content=sql, auth=auth, timeout=60)
    assert answer.is_success, answer.text
    return answer.text


class Recorded:
    """The API, whose every answer is kept."""

    def __init__(self, stack: Stack) -> None:
        token = stack.credentials.admin_token.get_secret_value()
        self._http = httpx.Client(
            base_url=f"{stack.gateway_url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60
        )
        self.answers: list[tuple[str, bytes]] = []

    def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = self._http.request(method, path, **options)
        self.answers.append((f"{method} {path}", repr(answer.headers).encode() + answer.content))
        return answer


def searched(platform: Platform, values: Mapping[str, str], answers: list[tuple[str, bytes]], before: Before) -> Search:
    search = Search(values, before)
    search.topics(platform.stack.bootstrap_servers)
    search.warehouse(platform.stack)
    search.files(platform.stack.settings.home)
    for path, content in answers:
        search.look("answers", path, content)
    return search


@pytest.fixture
def rotated(platform: Platform) -> Callable[[], str]:
    """Puts a new master key before the others, as an operator does; returns its id. Who opens knows it before who seals."""
    settings = platform.stack.settings
    file = master_keys(settings.home)

    def rotate() -> str:
        key_id = f"rotated-{uuid.uuid4().hex[:6]}"
        file.write_text(f"{key_id}: {new_key().get_secret_value()}\n{file.read_text()}")
        for service in ("ingest", "transformer", "gateway"):
            local.restart(settings, service)
        return key_id

    return rotate


def settled(client: Client, dataset: str, rows: int) -> None:
    eventually(lambda: client.ledger(dataset).loaded == rows, 120, f"{rows} rows of {dataset} are loaded")


@pytest.fixture
def dataset(platform: Platform) -> Iterator[str]:
    """A name nobody else uses; the dataset is taken away afterwards."""
    name = f"canary.t{uuid.uuid4().hex[:8]}"
    yield name
    producer = Producer({"bootstrap.servers": platform.stack.bootstrap_servers})
    producer.produce(topics.DATASETS, None, name)
    producer.produce(topics.SECRETS, None, name)
    assert producer.flush(10) == 0


@pytest.mark.timeout(600)
def test_a_secret_is_nowhere(platform: Platform, postgres_url: str, dataset: str, rotated: Callable[[], str]) -> None:
    client, api, before = platform.client, Recorded(platform.stack), Before.now(platform.stack.bootstrap_servers)
    first, second, secret = canary(), canary(), dataset
    login = Login(postgres_url, first)
    login.add(1, 500)
    document = yaml.safe_dump(
        {
            "dataset": dataset,
            "description": "d",
            "owner": {"team": "tests"},
            "source": login.source(secret),
            "key": ["id"],
            "transform": {"sql": "SELECT *, keyed_hash(id) AS hashed FROM input", "hash_key": f"secret://{secret}"},
        }
    )

    warnings = api("POST", "/plan", json={"document": document}).json()["warnings"]
    assert [secret in warning for warning in warnings] == [True, True]  # ingest needs it, and the transformer
    assert api("PUT", f"/secrets/{secret}", json={"value": first}).json()["version"] == 1
    assert api("PUT", f"/datasets/{dataset}", json={"document": document}).json()["warnings"] == []
    settled(client, dataset, 500)

    login.set_password(second)  # the first one is refused now
    eventually(lambda: bool(client.ledger(dataset).problems), 60, "the refused password is a problem of the dataset")
    assert "password authentication failed" in client.ledger(dataset).problems[0]
    for path in ("", "/ledger", "/quarantine", *(f"/tail?stage={stage}" for stage in STAGES)):
        api("GET", f"/datasets/{dataset}{path}")
    assert client.set_secret(secret, SecretStr(second)).version == 2
    login.add(501, 500)
    settled(client, dataset, 1000)

    key_id = rotated()
    done = api("POST", "/secrets/rotate").json()
    assert (done["current_key_id"], done["rotated"] >= 1) == (key_id, True)
    assert secret not in {each["name"] for each in done["failed"]}
    assert api("POST", "/secrets/rotate").json()["rotated"] == 0
    login.add(1001, 500)
    settled(client, dataset, 1500)

    for number, key in ((1, first), (1500, second)):  # a new value of the secret is a new key
        [[hashed]] = client.query(f"SELECT hashed FROM {dataset} WHERE id = {number}").rows
        assert hashed == hmac.new(key.encode(), str(number).encode(), "sha256").hexdigest()

    for path in ("/secrets", "/datasets", "/status", f"/datasets/{dataset}", f"/datasets/{dataset}/ledger"):
        assert api("GET", path).is_success, path
    (listed,) = [each for each in api("GET", "/secrets").json()["items"] if each["name"] == secret]
    assert (listed["version"], listed["key_id"], listed["datasets"]) == (2, key_id, [dataset])
    assert api("DELETE", f"/secrets/{secret}").status_code == 409
    assert api("PUT", f"/secrets/{secret}", json={"value": [first]}).status_code == 422

    eventually(lambda: any(lake(platform).rglob("*.parquet")), 120, "rows have landed in the lake")
    search = searched(platform, {"first": first, "second": second}, api.answers, before)
    print(f"\nsearched {search.bytes:,} bytes: {search.places}")  # noqa: T201
    assert search.hits == set()
    assert search.places.keys() >= {
        "logs", "topics", "gateway's database", "warehouse files", "warehouse rows", "lake", "answers"
    }  # fmt: skip

    planted = plant(platform, api, login, dataset)
    answers = [("planted", b"{" + forms(planted["answers"])["base64 +1"] + b"}")]
    eventually(lambda: in_the_lake(platform, planted["row"]), 120, "the planted row has landed in the lake")
    found = {
        (place.partition(":")[0], form.partition(" (")[0])
        for place, form in searched(platform, planted, answers, before).hits
    }
    assert found >= {
        ("logs", "log"),
        ("topics", "key"),
        ("topics", "value"),
        ("topics", "header"),
        ("topics", "row"),
        ("gateway's database", "database"),
        ("warehouse rows", "row"),
        ("lake", "row"),
        ("answers", "answers"),
    }

    assert api("DELETE", f"/secrets/{secret}?force=true").status_code == 204
    assert secret not in {each["name"] for each in api("GET", "/secrets").json()["items"]}
    assert api("DELETE", f"/secrets/{secret}?force=true").status_code == 404
    eventually(
        lambda: f"there is no secret {secret}" in str(client.ledger(dataset).problems), 60, "its source has stopped"
    )


def plant(platform: Platform, api: Recorded, login: Login, dataset: str) -> dict[str, str]:
    """Further canaries, one for each of the places, in one form or another; by the name of the place."""
    values = {name: canary() for name in ("log", "key", "value", "header", "database", "row", "answers")}
    settings = platform.stack.settings
    (settings.logs / "planted.log").write_bytes(b'{"message": "' + forms(values["log"])["quoted"] + b'"}\n')
    topic = f"canary-{uuid.uuid4().hex[:8]}"
    kafka_topics.ensure(Connection(settings.bootstrap_servers), {topic: 1})
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers})
    hexadecimal = values["value"].encode().hex()
    producer.produce(topic, f"it is {hexadecimal}", values["key"], headers={"h": values["header"].encode()})
    assert producer.flush(10) == 0
    made = api("POST", f"/datasets/{dataset}/pin", json={"because": values["database"].encode().hex()})
    assert made.is_success, made.text
    login.add(2000, 1, values["row"])  # a row of data is no secret: it goes wherever rows go
    settled(platform.client, dataset, 1501)
    return values


def lake(platform: Platform) -> Path:
    return platform.stack.settings.home / "lake" / "files"


def in_the_lake(platform: Platform, value: str) -> bool:
    search = Search({"row": value}, Before({}, 0.0))
    search.files(lake(platform))
    return any(place.startswith("lake:") for place, _ in search.hits)
