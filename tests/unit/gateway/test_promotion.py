"""A promotion is decided on what stands, and only of a generation that was looked at."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

import pytest
from fastapi.testclient import TestClient

from services.gateway.adapters.dataset_store import fold_datasets
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.generations import replayed
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
