"""Quiet, away, at rest and given up are different things."""

import json
from dataclasses import replace
from datetime import timedelta

from headrace.stream.wishes import Wish
from services.gateway.core.datasets import SourcePosition
from services.gateway.core.incidents import Incident
from services.gateway.core.source_state import SourceState, source_state
from tests.unit.gateway.test_datasets import AIRPORTS, AT, live
from tests.unit.gateway.test_incidents import stopped

(DATASET,) = live(AIRPORTS).values()
READ = SourcePosition("nyc.airports", 3, True, AT, DATASET.version)
PAUSE = Wish("nyc.airports", "pause", AT, "ann", "it is moved")
SINCE = AT - timedelta(minutes=3)
DOWN = Incident(
    "source_down/ingest/0/nyc.airports", "source_down", "nyc.airports", "ingest", AT, "open", "down since a while: refused",
    json.dumps({"since": SINCE.isoformat(), "failures": 3, "error": "refused"}),
)  # fmt: skip


def test_a_source_that_was_read_to_its_end_is_quiet() -> None:
    assert source_state(DATASET, None, [], READ, None) == SourceState("quiet", AT)
    assert source_state(DATASET, None, [], replace(READ, version=0), AT) == SourceState("reading", AT)
    assert source_state(DATASET, None, [], None, None).state == "reading"


def test_one_that_is_away_says_since_when_and_why() -> None:
    assert source_state(DATASET, None, [DOWN], READ, AT) == SourceState("down", SINCE, because="refused")
    plain = replace(DOWN, data="{}")
    assert source_state(DATASET, None, [plain], READ, AT) == SourceState("down", AT, because=plain.message)


def test_one_that_is_paused_says_by_whom_and_nothing_of_an_outage() -> None:
    assert source_state(DATASET, PAUSE, [DOWN], READ, AT) == SourceState("paused", AT, "ann", "it is moved")


def test_one_that_ingest_has_given_up_is_stopped_and_another_service_says_nothing_of_it() -> None:
    assert source_state(DATASET, None, [DOWN, stopped("ingest", AT, "nyc.airports")], READ, AT).state == "stopped"
    assert source_state(DATASET, None, [stopped("loader", AT, "nyc.airports")], READ, AT).state == "quiet"
