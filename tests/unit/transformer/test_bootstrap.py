"""A worker that cannot be built leaves nothing behind: it is tried again every two seconds."""

from pathlib import Path
from typing import Any

import pytest

from headrace.errors import Transient
from headrace.stream.kafka import Connection
from headrace.stream.overrides import Decisions
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset
from headrace.transform.sandbox import Sandbox
from headrace.transform.stage import Transform
from services.transformer import bootstrap
from services.transformer.adapters.hash_keys import HashKeys
from services.transformer.adapters.known_overrides import KnownOverrides
from services.transformer.settings import TransformerSettings
from tests.unit.transform.staged import contract


class Undecided(KnownOverrides):
    def __init__(self) -> None: ...

    def about(self, dataset: LiveDataset) -> Decisions:
        del dataset
        return Decisions()


def test_no_process_and_no_file_stays_of_a_worker_that_could_not_be_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    closed: list[Sandbox] = []
    close = Sandbox.close

    def noted(self: Sandbox) -> None:
        closed.append(self)
        close(self)

    def unreachable(*_: Any) -> None:
        raise Transient("the broker does not answer")

    monkeypatch.setattr(Sandbox, "close", noted)
    monkeypatch.setattr(bootstrap, "PublishedBefore", lambda *_: None)
    monkeypatch.setattr(bootstrap, "pump_for", unreachable)
    settings = TransformerSettings(data_dir=tmp_path)
    registry = Registry("http://127.0.0.1:1")
    keys = HashKeys(Connection("127.0.0.1:1", {}), registry, None, "0")
    made = contract(checks=[{"check": "unique", "columns": ["id"]}], key=["id"])
    dataset = LiveDataset("shop.orders", 1, 1, "active", made)
    with pytest.raises(Transient):
        bootstrap.worker_for(dataset, settings, registry, keys, Undecided())
    assert len(closed) == 1
    assert list(bootstrap.seen_folder(settings).iterdir()) == []


@pytest.mark.parametrize(("role", "asks"), [("live", True), ("candidate", False), ("kept", False)])
def test_only_the_live_generation_asks_about_rows_that_are_held(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, role: str, asks: bool
) -> None:
    """In another the check counts as one that rejects: its rows are seen by nobody yet."""
    given: list[Decisions | None] = []

    class Asked(Transform):
        def __init__(self, *about: Any) -> None:
            given.append(about[-1])
            super().__init__(*about)

    monkeypatch.setattr(bootstrap, "Transform", Asked)
    monkeypatch.setattr(bootstrap, "pump_for", lambda *_: None)
    registry = Registry("http://127.0.0.1:1")
    keys = HashKeys(Connection("127.0.0.1:1", {}), registry, None, "0")
    held = contract(checks=[{"check": "between", "column": "id", "max": 9, "severity": "hold"}])
    dataset = LiveDataset("shop.orders", 1, 1, "active", held, role)
    worker = bootstrap.worker_for(dataset, TransformerSettings(data_dir=tmp_path), registry, keys, Undecided())
    worker.references.close()
    worker.engine.close()
    assert [decisions is not None for decisions in given] == [asks]
