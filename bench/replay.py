"""What a replay costs the live stream: how long rows take to show while another dataset is replayed, and while nothing is."""

import sys
import time
from typing import Final

import numpy as np

from bench.end_to_end import FLOW, latencies_ms, throughput
from bench.report import Finding
from headrace.client import Client
from tests.stack import Stack

_BENCH: Final = "replay"


def run(stack: Stack, rows: int, latency_s: float) -> list[Finding]:
    """Load `rows`, measure latency alone, then beside their replay under another rule. Units: seconds."""
    with Client(stack.gateway_url, stack.credentials.admin_token.get_secret_value(), timeout_s=120) as client:
        throughput(stack, client, rows)
        alone = _percentiles(stack, client, "alone", latency_s)
        name = f"orders_{rows}"
        flow = FLOW.format(name=name, source=f"{{type: file, path: bench/{name}.parquet}}").replace("* 1.1", "* 1.2")
        sys.stderr.write(f"replaying {rows:,} rows\n")
        began = time.monotonic()
        candidate = client.generations.replay(f"bench.{name}", flow, "what a replay costs")
        beside = _percentiles(stack, client, "beside", latency_s)
        behind = _behind(client, f"bench.{name}", candidate.generation)
        while _behind(client, f"bench.{name}", candidate.generation):
            time.sleep(0.5)
        took_s = time.monotonic() - began
    found = [
        Finding(_BENCH, f"source to queryable, {which}, alone", float(value), "ms")
        for which, value in zip(("p50", "p99"), alone, strict=True)
    ]
    found += [
        Finding(_BENCH, f"source to queryable, {which}, beside a replay", float(value), "ms", "alone", before / value)
        for which, value, before in zip(("p50", "p99"), beside, alone, strict=True)
    ]
    found.append(Finding(_BENCH, "rows that were left to replay when latency was measured", float(behind), "rows"))
    found.append(Finding(_BENCH, f"{rows:,} rows replayed beside 1,000 rows/s", rows / took_s, "rows/s"))
    return found


def _percentiles(stack: Stack, client: Client, name: str, seconds: float) -> tuple[float, float]:
    taken_ms, missing = latencies_ms(stack, client, name, seconds)
    if missing:
        raise RuntimeError(f"{missing} requests never showed in bench.{name}")
    p50, p99 = np.percentile(taken_ms, [50, 99])
    return float(p50), float(p99)


def _behind(client: Client, dataset: str, generation: int) -> int:
    """How many rows a candidate lacks."""
    [found] = [each for each in client.generations.list(dataset) if each.generation == generation]
    return found.behind
