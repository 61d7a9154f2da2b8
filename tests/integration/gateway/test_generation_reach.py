"""How far a generation got, as its topics and groups have it; the services' work is done by hand, step by step."""

from fastapi import FastAPI

from headrace.stream.kafka import Connection
from headrace.stream.registry import Registry
from services.gateway.adapters.generation_reach import GenerationReach
from services.gateway.adapters.progress import Progress
from tests.integration.gateway.test_passport import (
    RAW,
    STAGED,
    TRANSFORMED,
    Bench,
    MakeBench,
    make_bench,  # noqa: F401  # fixture
    raw,
)


def test_a_generation_got_as_far_as_every_stage_of_it_has_read(
    make_bench: MakeBench,  # noqa: F811
    connection: Connection,
    registry: Registry,
) -> None:
    bench: Bench = make_bench()
    app = bench.client.app
    assert isinstance(app, FastAPI)
    version = app.state.gateway.datasets.get(bench.name)
    reach = GenerationReach(connection, registry, Progress(connection))
    first, second, third = bench.send("raw", raw(1, 2, 3), RAW)
    assert reach(version)[1] == first - 1  # nobody has read it
    bench.has_read("stager", third)
    staged = bench.send("staged", [bench.made(first), bench.made(second)], STAGED)
    assert reach(version)[1] == first - 1
    bench.has_read("transformer", staged[1])
    assert reach(version)[1] == second - 1  # the first was filtered: no table has it
    bench.has_read("transformer", staged[1] + 1)
    assert reach(version)[1] == third - 1
    [transformed] = bench.send("transformed", [bench.made(second)], TRANSFORMED)
    assert reach(version)[1] == second - 1
    bench.has_read("quality", transformed + 1)
    [validated] = bench.send("validated", [bench.made(second)], TRANSFORMED)
    assert reach(version)[1] == second - 1
    bench.has_read("loader", validated + 1)
    assert reach(version)[1] == third - 1
    bench.has_read("stager", third + 1)
    assert reach(version)[1] >= third  # the end of the raw topic
