"""Instances join and leave while rows are on their way, in order or by force, and the result is the same."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.local import stack as local
from deploy.local.component import ComponentState
from tests.chaos.faults import STAGES
from tests.chaos.run import LONG, SETTLED_S, Mode, Run, begin
from tests.stack import Platform, eventually

JOINING = ("2", "3") if LONG else ("2",)


def rows_in(instance: ComponentState, run: Run) -> float:
    """How many rows of the dataset an instance has taken in itself."""
    text = httpx.get(f"http://127.0.0.1:{instance.port}/metrics", timeout=10).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(
        sample.value
        for sample in samples
        if sample.name == "headrace_rows_in_total" and sample.labels.get("dataset") == run.dataset
    )


@pytest.mark.parametrize("mode", ["append", "upsert"] if LONG else ["append"])
def test_instances_join_and_leave(platform: Platform, mode: Mode) -> None:
    settings = platform.stack.settings
    run = begin(platform, mode, share=40)
    run.wait_for("stager", 1)
    joined = {(stage, n): local.start_service(settings, stage, n) for n in JOINING for stage in STAGES}
    # What comes before all of them share the partitions may all go to the first.
    eventually(lambda: all(run.members(stage) > len(JOINING) for stage in STAGES[1:]), SETTLED_S, "everyone has joined")
    run.write(40, 70)
    sharing = [instance for (stage, _), instance in joined.items() if stage != "ingest"]  # one instance reads a source
    eventually(lambda: all(rows_in(each, run) for each in sharing), SETTLED_S, "every instance has a share of the work")
    run.write(70, 100)
    run.wait_for("transformer", 75)
    for number, instance in enumerate(joined.values()):
        (local.kill if number % 2 else local.stop)(settings, instance.name)
    assert run.faults(run.settle()) == []
