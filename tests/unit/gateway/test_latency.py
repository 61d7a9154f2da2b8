"""A quantile of a histogram lies in the bucket that holds it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.core.latency import quantile

BOUNDS = (10, 20, 50)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=200), st.floats(0.01, 1))
def test_it_is_in_the_bucket_of_the_exact_quantile(ages: list[int], q: float) -> None:
    edges = [0, *BOUNDS, 10**9]
    counts = [sum(1 for age in ages if (age > low or low == 0) and age <= high) for low, high in pairwise(edges)]
    exact = sorted(ages)[max(0, -(-int(q * len(ages) * 1e9) // 10**9) - 1)]
    low, high = next((low, high) for low, high in pairwise(edges) if exact <= high)
    shown = quantile(counts, BOUNDS, q)
    assert shown is not None
    assert low <= shown <= min(high, BOUNDS[-1]) or abs(shown - low) < 1e-6


@pytest.mark.parametrize(
    ("counts", "q", "shown"),
    [
        ([0, 0, 0, 0], 0.5, None),
        ([], 0.5, None),
        ([4, 0, 0, 0], 0.5, 5),
        ([1, 1, 0, 0], 0.5, 10),
        ([0, 10, 0, 0], 0.95, 19.5),
        ([0, 0, 0, 3], 0.5, 50),
    ],
)
def test_examples(counts: list[int], q: float, shown: float | None) -> None:
    assert quantile(counts, BOUNDS, q) == shown
