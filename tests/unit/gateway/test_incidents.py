"""Which incidents still stand."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from services.gateway.adapters.incident_store import IncidentStore, fold_incidents
from services.gateway.core.incidents import Incident, standing
from tests.unit.gateway.test_datasets import AIRPORTS, AT, live

DATASET = live(AIRPORTS)["nyc.airports"]
MINUTE = timedelta(minutes=1)


def stopped(service: str, at: datetime, dataset: str = "nyc.airports", data: str = '{"version": 1}') -> Incident:
    message = f"{service} stopped working on {dataset}: the file is damaged"
    return Incident(f"dataset_stopped/{service}/{at}", "dataset_stopped", dataset, service, at, "open", message, data)


def test_an_incident_stands_until_the_service_commits_again_or_a_newer_version_is_live() -> None:
    incident = stopped("ingest", AT)
    assert standing([incident], DATASET, {}) == (incident,)
    assert standing([incident], DATASET, {"ingest": AT - MINUTE, "stager": AT + MINUTE}) == (incident,)
    assert standing([incident], DATASET, {"ingest": AT + MINUTE}) == ()
    assert standing([incident], replace(DATASET, version=2), {}) == ()


def test_commits_say_nothing_of_a_worker_that_makes_none() -> None:
    """The stager goes on forwarding though nothing lands."""
    pump = stopped("stager", AT, data='{"version": 1, "worker": "stager nyc.airports"}')
    lander = stopped("stager", AT, data='{"version": 1, "worker": "lander nyc.airports"}')
    assert standing([pump, lander], DATASET, {"stager": AT + MINUTE}) == (lander,)
    assert standing([pump, lander], replace(DATASET, version=2), {}) == ()


@pytest.mark.parametrize("data", ["", "[]", "{}", '{"version": "one"}', "null"])
def test_an_incident_that_names_no_version_stands_for_all(data: str) -> None:
    incident = stopped("ingest", AT, data=data)
    assert standing([incident], replace(DATASET, version=2), {}) == (incident,)


def test_of_each_service_the_latest_incident_is_kept_until_it_is_resolved(engine: Engine) -> None:
    first, second, other = stopped("ingest", AT), stopped("ingest", AT + MINUTE), stopped("loader", AT)
    unrelated = [replace(other, type="disk_full"), replace(other, dataset=None)]
    with engine.begin() as connection:
        fold_incidents(connection, [(each.id, each) for each in (first, second, *unrelated)])
        fold_incidents(connection, [(other.id, other), (first.id, replace(first, state="resolved"))])
    assert IncidentStore(engine).open() == {"nyc.airports": [second, other]}
    with engine.begin() as connection:
        fold_incidents(connection, [(second.id, replace(second, state="resolved"))])
    assert IncidentStore(engine).open() == {"nyc.airports": [other]}


def test_a_source_that_is_down_is_told_from_a_service_that_stopped(engine: Engine) -> None:
    down = replace(stopped("ingest", AT), id="source_down/ingest/1/nyc.airports", type="source_down")
    with engine.begin() as connection:
        fold_incidents(connection, [(each.id, each) for each in (down, stopped("loader", AT))])
    assert [each.type for each in IncidentStore(engine).open()["nyc.airports"]] == ["source_down", "dataset_stopped"]


def test_a_generation_that_stops_beside_the_live_one_leaves_the_dataset_alone(engine: Engine) -> None:
    beside = replace(stopped("loader", AT, data='{"version": 2, "generation": 2}'), type="generation_stopped")
    beside = replace(beside, id="generation_stopped/loader/nyc.airports/loader 0 g2")
    with engine.begin() as connection:
        fold_incidents(connection, [(each.id, each) for each in (beside, stopped("loader", AT))])
    found = IncidentStore(engine).open()
    assert [each.type for each in found["nyc.airports"]] == ["dataset_stopped"]
    [told] = found["nyc.airports/g2"]
    assert standing([told], replace(DATASET, version=2), {}) == (told,)
    with engine.begin() as connection:
        fold_incidents(connection, [(beside.id, replace(beside, state="resolved", data="{}"))])
    assert list(IncidentStore(engine).open()) == ["nyc.airports"]
