"""Nothing is rounded, nothing is refused."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.core.json_values import json_value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (2**63 - 1, 2**63 - 1),
        (2**64 - 1, 2**64 - 1),
        (2**64, "18446744073709551616"),
        (-(2**200), str(-(2**200))),
        (1.5, 1.5),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (Decimal("1.2500"), "1.2500"),
        (Decimal("1E+3"), "1000"),
        (date(2013, 1, 1), "2013-01-01"),
        (time(5, 15), "05:15:00"),
        (datetime(2013, 1, 1, 5), "2013-01-01T05:00:00"),
        (datetime(2013, 1, 1, 5, tzinfo=UTC), "2013-01-01T05:00:00+00:00"),
        (timedelta(hours=30), "1 day, 6:00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (ip_address("::1"), "::1"),
        (b"\xff", "/w=="),
        ([1, (Decimal("2.0"), None)], [1, ["2.0", None]]),
        (
            {1: date(2013, 1, 1), "a": float("nan"), date(2013, 1, 1): 1},
            {"1": "2013-01-01", "a": "NaN", "2013-01-01": 1},
        ),
    ],
)
def test_examples(value: Any, shown: Any) -> None:
    assert json_value(value) == shown


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.decimals()
        | st.datetimes()
        | st.binary()
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.dates(), inner),
    )
)
def test_whatever_comes_is_strict_json(value: Any) -> None:
    assert isinstance(json.dumps(json_value(value), allow_nan=False), str)
