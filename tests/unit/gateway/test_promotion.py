"""A promotion is decided on what stands, and only of a generation that was looked at."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus

import pytest
from fastapi.testclient import TestClient

from headrace.contract import load
from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.generations import promoted, replayed
from services.gateway.gateway import Gateway
from tests.unit.gateway.test_generations import FIRST, NAME, act, file


def test_a_generation_that_the_projection_does_not_know_yet_is_not_promoted_unseen(
    lonely: Gateway, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lonely.engine.begin() as connection:
        fold_datasets(connection, {NAME: FIRST}.items())
    stands = {NAME: replayed(FIRST, file(1), act(1))}
    written: list[DatasetVersion | None] = []

    def append(_: object, decide: Callable[[Mapping[str, DatasetVersion]], DatasetVersion | None]) -> None:
        written.append(decide(stands))

    monkeypatch.setattr(type(lonely.dataset_log), "append", append)
    path = f"/api/v1/datasets/{NAME}/generations/2/promote"
    response = client.post(path, json={"because": "it is better", "force": False})
    assert written == []
    assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE, response.text
    assert "generation 2" in response.json()["detail"]


def test_going_back_to_a_file_that_would_wait_for_itself_is_refused(
    lonely: Gateway, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "shop.others"
    head = "description: d\nowner: {team: t}\n"
    reading = load(f"dataset: {NAME}\n{head}source: {{type: dataset, dataset: {other}}}\n")
    before = replace(FIRST, document=reading.canonical_json())
    now = promoted(replayed(before, file(1), act(1)), 2, act(2))
    assert isinstance(now, DatasetVersion)
    its_reader = load(f"dataset: {other}\n{head}source: {{type: dataset, dataset: {NAME}}}\n")
    stands = {NAME: now, other: replace(FIRST, name=other, document=its_reader.canonical_json())}
    with lonely.engine.begin() as connection:
        fold_datasets(connection, stands.items())
    written: list[DatasetVersion | None] = []

    def append(_: object, decide: Callable[[Mapping[str, DatasetVersion]], DatasetVersion | None]) -> None:
        written.append(decide(stands))

    monkeypatch.setattr(type(lonely.dataset_log), "append", append)
    path = f"/api/v1/datasets/{NAME}/generations/rollback"
    response = client.post(path, json={"because": "it was better", "leaving": 2})
    assert response.status_code == HTTPStatus.CONFLICT, response.text
    assert response.json()["type"].endswith("cycle")
    assert written == []
