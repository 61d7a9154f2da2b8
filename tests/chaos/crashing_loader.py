"""A loader that dies between the warehouse's answer and Kafka's commit, and one that does not read back what that left."""

import os
import sys
from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from headrace.stream.service import run_service
from services.loader.adapters.clickhouse import ClickHouse
from services.loader.bootstrap import workers
from services.loader.core.fencing import Fence
from services.loader.core.table import Table
from services.loader.settings import LoaderSettings

DIED: Final = 70
_LAST_INSERT: Final = 3


class Dying(ClickHouse):
    """Ends the process when an insert of published rows has been acknowledged."""

    inserts = 0

    def insert(self, table: Table, rows: pa.Table, fences: Mapping[int, Fence]) -> None:
        super().insert(table, rows, fences)
        self.inserts += table.view is not None
        if self.inserts == _LAST_INSERT:
            os._exit(DIED)


class Forgetful(ClickHouse):
    """Does not read back what the table holds."""

    def loaded(self, table: Table, bases: Mapping[int, int]) -> dict[int, pa.Int64Array]:
        return {}


def main(kind: type[ClickHouse]) -> int:
    """Run the service over a warehouse of this kind."""
    settings = LoaderSettings()

    def connect(told: LoaderSettings) -> ClickHouse:
        return kind(told.warehouse_url, told.warehouse_user, told.warehouse_password.get_secret_value())

    return run_service("loader", settings, workers(settings, connect))


if __name__ == "__main__":
    sys.exit(main({"dying": Dying, "forgetful": Forgetful}[sys.argv[1]]))
