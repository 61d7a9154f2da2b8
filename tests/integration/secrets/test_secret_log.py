"""What is written to the topic of secrets was decided on all that stood; who comes late writes nothing."""

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Producer
from pydantic import SecretBytes, SecretStr

from headrace.errors import Fatal, Transient
from headrace.secrets.envelope import seal
from headrace.secrets.keys import MasterKeys
from headrace.stream import secret_log, topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Replay
from headrace.stream.known_secrets import KnownSecrets
from headrace.stream.secret_log import SecretChange, SecretLog, SecretRecord, Secrets, followed_secrets
from headrace.stream.service import LiveDataset
from services.gateway.adapters.secret_keeper import SecretKeeper
from services.ingest.adapters import source_secrets
from services.ingest.adapters.source_secrets import SetAnew, SourceSecrets
from tests.integration.secrets.conftest import KEYS
from tests.stack import eventually
from tests.unit.gateway.test_datasets import live
from tests.unit.gateway.test_secrets import ORDERS

AT = datetime(2026, 1, 2, tzinfo=UTC)
ONE, TWO, THREE = (SecretStr(f"value {n}") for n in (1, 2, 3))


def standing(connection: Connection, controls: Controls, name: str) -> SecretRecord | None:
    followed = followed_secrets(connection, controls)
    try:
        followed.refresh()
        return followed.state.get(name)
    finally:
        followed.close()


def events(connection: Connection, controls: Controls, name: str) -> list[dict[str, Any]]:
    """What the events topic tells of a secret."""
    replay = Replay(connection, topics.EVENTS)
    try:
        found = [
            controls.decode(value) for records in replay.advance() for value in records.values if value is not None
        ]
    finally:
        replay.close()
    return [event for event in found if json.loads(event["data"]).get("secret") == name]


def dataset(name: str) -> LiveDataset:
    """A dataset that names the secret."""
    (version,) = live(ORDERS.replace("shop.password", name)).values()
    return LiveDataset("shop.orders", 1, 1, "active", version.contract())


def test_versions_grow_and_a_removed_secret_is_gone(
    connection: Connection, controls: Controls, keeper: SecretKeeper, known: KnownSecrets, name: str
) -> None:
    assert [keeper.set(name, value, AT, "ann").version for value in (ONE, TWO)] == [1, 2]
    source = SourceSecrets(known, "shop.orders")
    assert source.secret(name) == TWO
    assert keeper.remove(name, "ann")
    assert not keeper.remove(name, "ann")
    assert standing(connection, controls, name) is None
    with pytest.raises(LookupError):
        source.secret(name)
    assert [(event["type"], event["dataset"]) for event in events(connection, controls, name)] == [
        ("secret_set", None),
        ("secret_set", None),
        ("secret_opened", "shop.orders"),
        ("secret_removed", None),
    ]


def decided_late(name: str, meanwhile: Callable[[], object]) -> Callable[[Secrets], Sequence[SecretChange]]:
    """Seals the version that is next by what stands, while somebody else writes."""

    def decide(secrets: Secrets) -> Sequence[SecretChange]:
        version = secrets.records[name].sealed.version + 1
        meanwhile()
        record = SecretRecord(seal(KEYS, name, version, b"late"), AT, "late")
        return [SecretChange(name, record, "secret_set", "late")]

    return decide


def test_who_was_overtaken_writes_nothing(
    connection: Connection, controls: Controls, log: SecretLog, keeper: SecretKeeper, name: str
) -> None:
    keeper.set(name, ONE, AT, "ann")
    other = SecretKeeper(SecretLog(connection, controls, "gateway", "other"), KEYS)
    with pytest.raises(Transient, match="try again"):
        log.change(decided_late(name, lambda: other.set(name, TWO, AT, "bob")))
    found = standing(connection, controls, name)
    assert found is not None
    assert (found.sealed.version, found.set_by) == (2, "bob")
    assert "late" not in {event["message"] for event in events(connection, controls, name)}


def test_the_control_without_the_shared_id_a_version_is_written_over_unseen(
    connection: Connection,
    controls: Controls,
    log: SecretLog,
    keeper: SecretKeeper,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keeper.set(name, ONE, AT, "ann")
    monkeypatch.setattr(secret_log, "_WRITER_ID", f"test-{uuid.uuid4().hex}")
    other = SecretKeeper(SecretLog(connection, controls, "gateway", "other"), KEYS)

    def meanwhile() -> None:
        other.set(name, TWO, AT, "bob")

    log.change(decided_late(name, meanwhile))
    found = standing(connection, controls, name)
    assert found is not None
    assert (found.sealed.version, found.set_by) == (2, "late")


def test_a_source_replaces_the_value_it_was_given(
    connection: Connection, controls: Controls, keeper: SecretKeeper, known: KnownSecrets, name: str
) -> None:
    keeper.set(name, ONE, AT, "ann")
    source = SourceSecrets(known, "shop.orders")
    assert source.secret(name) == ONE
    source.keep(name, TWO)
    source.keep(name, THREE)
    assert SourceSecrets(known, "shop.orders").secret(name) == THREE
    found = standing(connection, controls, name)
    assert found is not None
    assert (found.sealed.version, found.set_by, found.kept_for) == (3, "ingest", "shop.orders")
    kept = [event for event in events(connection, controls, name) if event["service"] == "ingest"]
    assert [(event["type"], event["dataset"]) for event in kept] == [
        ("secret_opened", "shop.orders"),
        ("secret_set", "shop.orders"),
        ("secret_set", "shop.orders"),
        ("secret_opened", "shop.orders"),
    ]


def test_a_source_does_not_write_over_what_a_person_set_since(
    keeper: SecretKeeper, known: KnownSecrets, name: str
) -> None:
    keeper.set(name, ONE, AT, "ann")
    stale, fresh = SourceSecrets(known, "shop.orders"), SourceSecrets(known, "shop.orders")
    stale.secret(name)
    keeper.remove(name, "ann")
    keeper.set(name, TWO, AT, "ann")  # version 1 again: a number alone would not tell
    with pytest.raises(SetAnew):
        stale.keep(name, THREE)
    assert fresh.secret(name) == TWO
    with pytest.raises(Fatal, match="was not given"):
        SourceSecrets(known, "shop.orders").keep(name, THREE)


def test_a_source_that_is_overtaken_by_others_tries_again(
    connection: Connection, controls: Controls, keeper: SecretKeeper, known: KnownSecrets, name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The value it was given is worthless by now: giving up would lose the new one."""
    keeper.set(name, ONE, AT, "ann")
    another = f"{name}.another"
    source = SourceSecrets(known, "shop.orders")
    source.secret(name)
    overtaken: list[bool] = []

    def slowly(*arguments: Any) -> Any:
        if not overtaken:
            overtaken.append(True)
            keeper.set(another, ONE, AT, "bob")
        return seal(*arguments)

    monkeypatch.setattr(source_secrets, "seal", slowly)
    source.keep(name, TWO)
    keeper.remove(another, "bob")
    found = standing(connection, controls, name)
    assert found is not None
    assert found.sealed.version == 2


def test_a_value_that_was_kept_though_it_seemed_not_is_kept_once(
    connection: Connection, controls: Controls, keeper: SecretKeeper, known: KnownSecrets, name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    keeper.set(name, ONE, AT, "ann")
    source = SourceSecrets(known, "shop.orders")
    source.secret(name)
    change, failed = known.log.change, list[bool]()

    def unanswered(decide: Any) -> Any:
        changes = change(decide)
        if not failed:
            failed.append(True)
            raise Transient("no answer in time")
        return changes

    monkeypatch.setattr(known.log, "change", unanswered)
    source.keep(name, TWO)
    source.keep(name, THREE)
    found = standing(connection, controls, name)
    assert found is not None
    assert found.sealed.version == 3


def test_what_sources_begin_anew_for(keeper: SecretKeeper, log: SecretLog, known: KnownSecrets, name: str) -> None:
    """A value that a person set; not one they keep themselves, nor a new master key."""
    needing = dataset(name)

    def needs() -> object:
        known.refresh()
        return known.given(needing.contract.source_secrets)

    nobody = needs()
    keeper.set(name, ONE, AT, "ann")
    eventually(lambda: needs() != nobody, 10, "it is known")
    first = needs()
    source = SourceSecrets(known, "shop.orders")
    source.secret(name)
    source.keep(name, TWO)
    both = MasterKeys({"second": SecretBytes(b"2" * 32), **KEYS.keys})
    assert name in SecretKeeper(log, both).rotate("ann").rotated
    eventually(lambda: known.find(name).sealed.key_id == "second", 10, "the rotation is known")
    assert needs() == first
    keeper.set(name, ONE, AT, "ann")
    eventually(lambda: needs() != first, 10, "the value is known")


def test_rotation_is_idempotent_and_one_that_does_not_open_keeps_no_other_from_it(
    connection: Connection, controls: Controls, log: SecretLog, keeper: SecretKeeper, name: str
) -> None:
    lost, good = f"{name}.lost", f"{name}.good"
    SecretKeeper(log, MasterKeys({"gone": SecretBytes(b"9" * 32)})).set(lost, ONE, AT, "ann")
    keeper.set(good, ONE, AT, "ann")
    before = standing(connection, controls, good)
    rotating = SecretKeeper(log, MasterKeys({"second": SecretBytes(b"2" * 32), **KEYS.keys}))
    done = rotating.rotate("ann")
    assert good in done.rotated
    assert "no master key gone" in done.failed[lost]
    after = standing(connection, controls, good)
    assert before is not None
    assert after is not None
    assert after == replace(
        before, sealed=replace(before.sealed, key_id="second", wrapped_key=after.sealed.wrapped_key)
    )
    again = rotating.rotate("ann")
    assert again.rotated == []
    assert again.unchanged >= 1
    for each in (lost, good):
        keeper.remove(each, "ann")


def test_an_unreadable_record_is_not_written_over_but_can_be_removed(
    connection: Connection, keeper: SecretKeeper, known: KnownSecrets, name: str
) -> None:
    keeper.set(name, ONE, AT, "ann")
    producer = Producer(connection.client())
    producer.produce(topics.SECRETS, b"\xffnot a record", name)
    assert producer.flush(10) == 0
    with pytest.raises(Fatal, match="cannot be read"):
        keeper.set(name, TWO, AT, "ann")
    with pytest.raises(Fatal, match="cannot be read"):
        SourceSecrets(known, "shop.orders").secret(name)
    assert name in keeper.rotate("ann").failed
    assert keeper.remove(name, "ann")
    assert keeper.set(name, TWO, AT, "ann").version == 1


def test_without_a_master_key_a_source_is_told_what_to_do(
    connection: Connection, registry: Any, keeper: SecretKeeper, name: str
) -> None:
    keeper.set(name, ONE, AT, "ann")
    keyless = KnownSecrets(connection, registry, None, "ingest", "test")
    try:
        with pytest.raises(Fatal, match="headrace secret new-key"):
            SourceSecrets(keyless, "shop.orders").secret(name)
    finally:
        keyless.close()
