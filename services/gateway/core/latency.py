"""Decides which latency a histogram shows at a quantile."""

from collections.abc import Sequence
from itertools import accumulate, pairwise


def quantile(counts: Sequence[int], bounds: Sequence[int], q: float) -> float | None:
    """The value below which a share `q` of the counted lies, interpolated within its bucket.

    None when nothing was counted. Shapes: `counts` has one entry more than `bounds`, for what is over the last
    bound; that is reported as the last bound, because the histogram knows no more than "at least that".
    """
    total = sum(counts)
    if total == 0:
        return None
    wanted = q * total
    edges = list(pairwise([0, *bounds]))
    before = 0
    for reached, count, (low, high) in zip(accumulate(counts), counts, edges, strict=False):
        if count and reached >= wanted:
            return low + (high - low) * (wanted - before) / count
        before = reached
    return float(bounds[-1])
