"""A source gets its credential from the topic of secrets: when it is set, when it is replaced, and not without a master key."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from pydantic import SecretStr

from headrace.secrets.keys import loaded, new_key
from headrace.stream import topics
from headrace.stream.secret_log import SecretLog
from services.gateway.adapters.secret_keeper import SecretKeeper
from tests.integration.ingest.running import Platform, ingest, until
from tests.integration.login import Login

MASTER = new_key()


@pytest.fixture
def secret(platform: Platform) -> Iterator[str]:
    """The name of a secret nobody else uses; gone afterwards."""
    name = f"t{uuid.uuid4().hex[:10]}"
    yield name
    producer = Producer({"bootstrap.servers": platform.bootstrap_servers})
    producer.produce(topics.SECRETS, None, name)
    assert producer.flush(10) == 0


@pytest.fixture
def keeper(platform: Platform) -> SecretKeeper:
    """As the gateway has it."""
    return SecretKeeper(SecretLog(platform.connection, platform.controls, "gateway", "test"), loaded(MASTER, None))


def incidents(platform: Platform, name: str) -> list[dict[str, Any]]:
    """What needed a person, and whether it still does."""
    found = [platform.controls.decode(value) for *_, value in platform.messages(topics.INCIDENTS)]
    return [incident for incident in found if incident["dataset"] == name]


def stands(platform: Platform, name: str, text: str) -> bool:
    """Whether the last incident of a dataset is open, and says so."""
    found = incidents(platform, name)
    return bool(found) and found[-1]["state"] == "open" and text in found[-1]["message"]


def opened(log: str, secret: str) -> list[int]:
    """The versions of a secret that were opened, by the log."""
    lines = [json.loads(line) for line in log.splitlines() if '"secret opened"' in line]
    return [line["version"] for line in lines if line["secret"] == secret and line["dataset"] and line["instance"]]


@contextmanager
def took(what: str) -> Iterator[None]:
    """Say how long it took."""
    started = time.monotonic()
    yield
    print(f"\n{what}: {time.monotonic() - started:.2f} s")  # noqa: T201


def test_a_source_begins_when_its_secret_is_set_and_goes_on_when_it_is_replaced(
    platform: Platform, dataset: str, port: int, tmp_path: Path, postgres_url: str, keeper: SecretKeeper, secret: str
) -> None:
    login = Login(postgres_url, "first password")
    login.add(1, 100)
    key = MASTER.get_secret_value()
    with ingest(platform, port, tmp_path, master_key=key) as running:
        platform.apply(dataset, login.source(secret))
        until(lambda: stands(platform, dataset, f"there is no secret {secret}"), "the unknown secret is an incident")

        keeper.set(secret, SecretStr("first password"), datetime.now(UTC), "ann")
        with took("rows after a secret was set"):
            until(lambda: platform.caught_up(dataset, 100), "the rows are read")

        login.set_password("second password")
        login.add(101, 100)
        until(lambda: stands(platform, dataset, "password authentication failed"), "the wrong password is an incident")
        keeper.set(secret, SecretStr("second password"), datetime.now(UTC), "ann")
        with took("rows after a secret was replaced"):
            until(lambda: platform.caught_up(dataset, 200), "the rows are read")
        assert platform.column(dataset, "id") == list(range(1, 201))
        assert incidents(platform, dataset)[-1]["state"] == "resolved"
        log = running.log()
    assert opened(log, secret)[0] == 1
    assert opened(log, secret)[-1] == 2
    assert "first password" not in log
    assert "second password" not in log


def test_a_running_source_is_opened_anew_with_a_new_value(
    platform: Platform, dataset: str, port: int, tmp_path: Path, postgres_url: str, keeper: SecretKeeper, secret: str
) -> None:
    login = Login(postgres_url, "a password")
    login.add(1, 10)
    keeper.set(secret, SecretStr("a password"), datetime.now(UTC), "ann")
    with ingest(platform, port, tmp_path, master_key=MASTER.get_secret_value()) as running:
        platform.apply(dataset, login.source(secret))
        until(lambda: platform.caught_up(dataset, 10), "the rows are read")
        keeper.set(secret, SecretStr("a password"), datetime.now(UTC), "ann")
        with took("a running source opened anew"):
            until(lambda: 2 in opened(running.log(), secret), "version 2 is opened")
        login.add(11, 10)
        until(lambda: platform.caught_up(dataset, 20), "the rows are read")
        assert incidents(platform, dataset)[-1]["state"] == "resolved"
        count = len(opened(running.log(), secret))
        login.add(21, 10)
        until(lambda: platform.caught_up(dataset, 30), "the rows are read")
        assert len(opened(running.log(), secret)) == count  # the control: nothing else opens it anew


def test_without_a_master_key_only_what_needs_one_stands_still(
    platform: Platform, dataset: str, port: int, tmp_path: Path, postgres_url: str, keeper: SecretKeeper, secret: str,
    another: Callable[[], str],
) -> None:  # fmt: skip
    login = Login(postgres_url, "a password")
    keeper.set(secret, SecretStr("a password"), datetime.now(UTC), "ann")
    file = tmp_path / "rows.csv"
    file.write_text("a\n1\n2\n")
    with ingest(platform, port, tmp_path):
        platform.apply(dataset, login.source(secret))
        other = another()
        platform.apply(other, {"type": "file", "path": file.name})
        until(lambda: stands(platform, dataset, "there is no master key"), "what to do is said")
        until(lambda: platform.caught_up(other, 2), "the other dataset is read")


@pytest.fixture
def another(platform: Platform) -> Iterator[Callable[[], str]]:
    """A second dataset, taken away afterwards."""
    name = f"ingest.t{uuid.uuid4().hex[:10]}"
    yield lambda: name
    platform.retire(name)
