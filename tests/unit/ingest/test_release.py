"""What a source keeps outside is taken away when nothing needs it any more, and not before."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from headrace.stream.holdings import Holding
from headrace.stream.wishes import Wish
from services.ingest.core.release import Standing, why_released

AT = datetime(2026, 1, 1, tzinfo=UTC)
HELD = Holding("shop.orders.cdc1", "shop.orders", "held", AT, ("slot",), "{}")
LIVE = Standing("active", "postgres_cdc")


def wish(act: str) -> Wish:
    return Wish("shop.orders", act, AT, "ann", "we moved")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dataset", "pause", "why"),
    [
        (None, None, "the dataset was removed"),
        (Standing("retired", "postgres_cdc"), None, "the dataset is retired"),
        (Standing("active", "file"), None, "its source is of type file now"),
        (Standing("active", "mysql_cdc"), None, "its source is of type mysql_cdc now"),
        (LIVE, wish("release"), "released by ann since 2026-01-01T00:00:00+00:00 because: we moved"),
    ],
)
def test_what_nothing_needs_is_released(dataset: Standing | None, pause: Wish | None, why: str) -> None:
    assert why_released(HELD, "postgres_cdc", dataset, pause) == why


@pytest.mark.parametrize(
    ("dataset", "pause"), [(LIVE, None), (LIVE, wish("pause")), (Standing("paused", "postgres_cdc"), None)]
)
def test_what_is_needed_stays(dataset: Standing, pause: Wish | None) -> None:
    assert why_released(HELD, "postgres_cdc", dataset, pause) == ""


def test_what_has_begun_to_be_taken_away_is_taken_away_although_it_would_be_needed_again() -> None:
    leaving = replace(HELD, state="leaving", because="the dataset was removed")
    assert why_released(leaving, "postgres_cdc", LIVE, None) == "the dataset was removed"
