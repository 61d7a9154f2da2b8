"""Nothing lost, nothing twice, over random schedules of crashes, torn inserts, lost answers, zombies and rebalances.

The controls take one leg of the algorithm away each; the same schedules must then find a violation.
"""

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pytest

from services.loader.core.table import Table
from tests.unit.loader.simulation import Insert, Schedule, SimulatedWarehouse, World

SCHEDULES = 2000


def test_nothing_is_lost_or_doubled() -> None:
    for seed in range(SCHEDULES):
        result = Schedule(seed).run()
        assert not result.violated, f"seed {seed}: lost {result.lost}, doubled {result.doubled}"


class Forgetful(SimulatedWarehouse):
    """Does not read back what the table holds."""

    def loaded(self, table: Table, bases: Mapping[int, int]) -> dict[int, pa.Int64Array]:
        return {}


class ReadsTheMaximum(SimulatedWarehouse):
    """Takes everything up to the greatest offset it finds for loaded."""

    def loaded(self, table: Table, bases: Mapping[int, int]) -> dict[int, pa.Int64Array]:
        found = super().loaded(table, bases)
        return {
            number: pa.array(range(max(held.to_numpy(), default=-1) + 1), pa.int64()) for number, held in found.items()
        }


class Unstoppable(SimulatedWarehouse):
    """Leaves the inserts of earlier owners running."""

    def stop(self, table: Table, partitions: Iterable[int]) -> None:
        pass


class Unguarded(World):
    """Runs every insert, whoever has claimed the partition since."""

    def refuses(self, insert: Insert) -> bool:
        return False


@pytest.mark.parametrize(
    ("warehouse", "world"),
    [
        pytest.param(Forgetful, World, id="without read-back"),
        pytest.param(ReadsTheMaximum, World, id="with the maximum instead of the set"),
        pytest.param(Unstoppable, World, id="without stopping the owner before"),
        pytest.param(SimulatedWarehouse, Unguarded, id="without the guard"),
    ],
)
def test_each_leg_is_needed(warehouse: type[SimulatedWarehouse], world: type[World]) -> None:
    assert any(Schedule(seed, warehouse, world).run().violated for seed in range(SCHEDULES))
