"""Files in S3: a real client against a server of moto, which keeps buckets in memory."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import boto3  # type: ignore[import-untyped]
import httpx
import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from headrace.connector import Connector, Surroundings, Targets, opened
from headrace.connector.conformance import LOOPBACK, Conformance, Row, rows_of
from headrace.errors import Fatal, Transient
from services.ingest.connectors.file.settings import FileSource
from tests.integration.ingest.rows import csv, numbered, read_all

KEYS = {"id": SecretStr("canary-access-key"), "key": SecretStr("canary-secret-key")}


def keys(name: str) -> SecretStr:
    return KEYS[name]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of an S3 server."""
    started = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


class Bucket:
    """A bucket with rows in two objects, and a third when there is to be more."""

    def __init__(self, endpoint: str, name: str) -> None:
        self.endpoint = endpoint
        self.name = name
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        self.client.create_bucket(Bucket=name)
        self.rows: list[Row] = []

    def filled(self) -> "Bucket":
        self.add(), self.add()
        return self

    def add(self) -> Sequence[Row]:
        """See `SourceUnderTest.add`."""
        first = len(self.rows)
        rows = numbered(first, 20)
        self.put(f"data/{first:03}.csv", csv(rows))
        self.rows += rows
        return rows

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def rename(self, old: str, new: str) -> None:
        self.client.copy_object(Bucket=self.name, Key=new, CopySource={"Bucket": self.name, "Key": old})
        self.client.delete_object(Bucket=self.name, Key=old)

    def source(self, path: str = "data/*.csv", **storage: Any) -> FileSource:
        named = {"access_key_id": "secret://id", "secret_access_key": "secret://key"}
        given = {"endpoint": self.endpoint, **named, **storage}
        given = {name: value for name, value in given.items() if value is not None}
        return FileSource.model_validate({"type": "file", "path": f"s3://{self.name}/{path}", "storage": given})

    def connect(self, surroundings: Surroundings) -> Connector:
        """See `SourceUnderTest.connect`."""
        return opened(self.source(), replace(surroundings, secret=keys))

    def unreachable(self) -> Connector:
        """See `SourceUnderTest.unreachable`."""
        return self.reader(endpoint="http://127.0.0.1:1")

    def reader(self, path: str = "data/*.csv", targets: Targets = LOOPBACK, **storage: Any) -> Connector:
        return opened(
            self.source(path, **storage), Surroundings("a.b", batch_rows=7, settle_s=0.0, secret=keys, targets=targets)
        )


@pytest.fixture
def bucket(server: str, request: pytest.FixtureRequest) -> Bucket:
    return Bucket(server, f"b{abs(hash(request.node.nodeid))}").filled()


class TestS3(Conformance):
    @pytest.fixture
    def source(self, bucket: Bucket) -> Bucket:
        return bucket


def test_an_object_under_another_key_is_not_read_again(bucket: Bucket) -> None:
    rows, position = read_all(bucket.reader())
    assert rows == bucket.rows
    bucket.rename("data/000.csv", "data/999.csv")
    assert read_all(bucket.reader(), position)[0] == []


def test_an_object_that_is_uploaded_again_is_not_read_again(bucket: Bucket) -> None:
    _, position = read_all(bucket.reader())
    body = bucket.client.get_object(Bucket=bucket.name, Key="data/000.csv")["Body"].read()
    bucket.put("data/000.csv", body)
    assert read_all(bucket.reader(), position)[0] == []


def test_the_control_other_content_under_the_key_is_read(bucket: Bucket) -> None:
    _, position = read_all(bucket.reader())
    bucket.put("data/000.csv", csv(numbered(1000, 20)))
    assert read_all(bucket.reader(), position)[0] == numbered(1000, 20)


def test_an_object_whose_middle_changed_is_another_though_start_and_end_are_the_same(bucket: Bucket) -> None:
    rows = numbered(0, 3000)
    bucket.put("big/a.csv", csv(rows))
    first, position = read_all(bucket.reader("big/*.csv"))
    assert first == rows
    changed = [{**row, "name": "other"} if row["id"] == 1500 else row for row in rows]
    bucket.put("big/a.csv", csv(changed))
    assert read_all(bucket.reader("big/*.csv"), position)[0] == changed


def test_an_object_that_grew_goes_on_where_it_was(bucket: Bucket) -> None:
    _, position = read_all(bucket.reader())
    bucket.put("data/020.csv", csv(numbered(20, 30)))
    assert read_all(bucket.reader(), position)[0] == numbered(40, 10)


def test_what_stays_the_same_is_not_opened_again(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    _, position = read_all(bucket.reader())
    again = bucket.reader()
    monkeypatch.setattr(type(again._storage), "open", lambda *_: pytest.fail("opened"))  # type: ignore[attr-defined]
    assert read_all(again, position)[0] == []


def test_check_says_each_step(bucket: Bucket) -> None:
    steps = list(bucket.reader().check())
    assert [(step.name, step.ok) for step in steps] == [
        ("resolve", True), ("connect", True), ("list", True), ("format", True), ("read", True)
    ]  # fmt: skip


def test_a_bucket_that_is_not_there_is_named(bucket: Bucket) -> None:
    lost = Bucket.__new__(Bucket)
    lost.__dict__.update(bucket.__dict__, name="no-such-bucket")
    step = list(lost.reader().check())[-1]
    assert (step.name, step.ok, step.field) == ("list", False, "source.path")
    with pytest.raises(Fatal, match="no bucket no-such-bucket"):
        read_all(lost.reader())


def test_keys_that_are_not_known_are_named_and_not_shown(bucket: Bucket) -> None:
    httpx.post(f"{bucket.endpoint}/moto-api/reset-auth", content=b"0")
    try:
        step = list(bucket.reader().check())[-1]
        assert (step.name, step.ok, step.field) == ("authenticate", False, "source.storage.access_key_id")
        with pytest.raises(Fatal) as raised:
            read_all(bucket.reader())
        assert "canary" not in str(raised.value) + step.message
        anybody = bucket.reader(anonymous=True, access_key_id=None, secret_access_key=None)
        assert not list(anybody.check())[-1].ok
    finally:
        httpx.post(f"{bucket.endpoint}/moto-api/reset-auth", content=b"inf")


def test_a_server_that_is_away_may_come_back(bucket: Bucket) -> None:
    with pytest.raises(Transient):
        read_all(bucket.reader(endpoint="http://127.0.0.1:1"))


def test_a_network_that_is_not_allowed_is_not_reached(bucket: Bucket) -> None:
    step = list(bucket.reader(targets=Targets()).check())[-1]
    assert (step.name, step.ok, step.field) == ("resolve", False, "source.storage.endpoint")
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_NETWORKS"):
        read_all(bucket.reader(targets=Targets()))


def test_a_position_is_short(bucket: Bucket) -> None:
    _, position = read_all(bucket.reader())
    assert position is not None
    assert set(json.loads(position)["files"]) == {f"{bucket.name}/data/000.csv", f"{bucket.name}/data/020.csv"}
    assert rows_of(bucket.reader().read(position)) == []
