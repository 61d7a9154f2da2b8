"""A row with the key of one before it is set aside, also by a transformer that has just begun, and by one of several."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from headrace.stream import topics
from headrace.stream.service import LiveDataset
from services.transformer.adapters.published_before import PublishedBefore
from services.transformer.bootstrap import hash_keys, known_overrides, worker_for
from services.transformer.settings import TransformerSettings
from tests.integration.transformer.flow import PARTITIONS, Flow, until
from tests.integration.transformer.test_pump import settled, stage_rows


def orders_of(flow: Flow) -> LiveDataset:
    return flow.apply(flow.dataset("orders", key=["id"], checks=[{"check": "unique"}]))


@contextmanager
def working(flow: Flow, dataset: LiveDataset, folder: Path, instance: str = "0") -> Iterator[None]:
    """A transformer at work on a dataset, with a group of several."""
    settings = TransformerSettings(
        bootstrap_servers=flow.stack.bootstrap_servers,
        registry_url=flow.stack.registry_url,
        session_timeout_ms=6000,
        instance=instance,
        data_dir=folder,
    )
    keys, overrides = hash_keys(settings), known_overrides(settings)
    overrides.refresh()
    stopping = threading.Event()
    thread = threading.Thread(
        target=lambda: worker_for(dataset, settings, flow.registry, keys, overrides).run(stopping)
    )
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(30)
        keys.close()
        overrides.close()
        assert not thread.is_alive()


def published(flow: Flow, dataset: LiveDataset) -> list[int]:
    return sorted(row["id"] for row in flow.rows(topics.transformed(dataset.name, 1)))


def test_a_repeat_is_told_across_batches_restarts_and_changes_of_members(flow: Flow, tmp_path: Path) -> None:
    orders = orders_of(flow)
    stage_rows(flow, orders, [{"id": 1}, {"id": 2}, {"id": 1}])
    with working(flow, orders, tmp_path):
        until(lambda: settled(flow, orders) == 3)
        stage_rows(flow, orders, [{"id": 2}], first=7)
        until(lambda: settled(flow, orders) == 4)
        before = settled(flow, orders)
        # Whoever reads partition 0 from here on has to learn what the one before it has let pass.
        with ExitStack() as others:
            for instance in map(str, range(1, PARTITIONS + 1)):
                others.enter_context(working(flow, orders, tmp_path, instance))
            stage_rows(flow, orders, [{"id": 9}, {"id": 1}], first=8)
            stage_rows(flow, orders, [{"id": 5}, {"id": 5}], 1, first=3)
            until(lambda: settled(flow, orders) == before + 4)
        stage_rows(flow, orders, [{"id": 9}], first=10)
        until(lambda: settled(flow, orders) == before + 5)
    with working(flow, orders, tmp_path):
        stage_rows(flow, orders, [{"id": 2}, {"id": 3}], first=20)
        until(lambda: settled(flow, orders) == before + 7)
    assert published(flow, orders) == [1, 2, 3, 5, 9]
    aside = {(row["partition"], row["raw_offset"]): row for row in flow.quarantined(orders.name)}
    assert sorted(aside) == [(0, 2), (0, 7), (0, 9), (0, 10), (0, 20), (1, 4)]
    assert aside[0, 10]["detail"] == "id = 9, as in the row before it of raw partition 0, offset 8"
    assert {(row["reason"], row["rule"], row["column"]) for row in aside.values()} == {
        ("check_unique", "unique_id", "id")
    }
    assert list(tmp_path.glob("*/*")) == []


def test_a_transformer_that_does_not_read_what_it_published_lets_a_repeat_pass(
    flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control."""
    orders = orders_of(flow)
    stage_rows(flow, orders, [{"id": 1}])
    with working(flow, orders, tmp_path):
        until(lambda: settled(flow, orders) == 1)
    monkeypatch.setattr(PublishedBefore, "refresh", lambda *_: None)
    stage_rows(flow, orders, [{"id": 1}], first=5)
    with working(flow, orders, tmp_path):
        until(lambda: settled(flow, orders) == 2)
    assert published(flow, orders) == [1, 1]
