"""A fold that kills its own process at the worst moments: python -m tests.integration.gateway.dying_fold."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import Engine, event

from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.registry import Registry
from services.gateway.adapters import control_fold
from services.gateway.adapters.control_fold import ControlFold, Record, Slot, move_offsets
from services.gateway.adapters.database import open_database
from services.gateway.adapters.ledger_store import fold_ledger
from services.gateway.adapters.progress import Progress


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Dying(ControlFold):
    """Dies at its n-th batch: just before the commit if n is odd, just after it if n is even."""

    def __init__(self, connection: Connection, controls: Controls, engine: Engine, dies_at: int) -> None:
        super().__init__(connection, controls, engine)
        self._left = dies_at
        self._before = dies_at % 2 == 1
        event.listen(engine, "commit", self._committing)

    def store(self, records: Mapping[str, Sequence[Record]], moves: Mapping[Slot, tuple[int, int]]) -> None:
        self._left -= 1
        super().store(records, moves)
        if self._left == 0:
            kill()

    def _committing(self, _: object) -> None:
        if self._left == 0 and self._before:
            kill()


class Torn(ControlFold):
    """The negative control: sums and offsets in two transactions, and death between them at the n-th batch."""

    def __init__(self, connection: Connection, controls: Controls, engine: Engine, dies_at: int) -> None:
        super().__init__(connection, controls, engine)
        self._left = dies_at

    def store(self, records: Mapping[str, Sequence[Record]], moves: Mapping[Slot, tuple[int, int]]) -> None:
        self._left -= 1
        with self._engine.begin() as database:
            fold_ledger(database, [entry for _, entry in records.get(topics.LEDGER, ())])
        if self._left == 0:
            kill()
        with self._engine.begin() as database:
            move_offsets(database, moves)


def main(kind: str, bootstrap_servers: str, registry_url: str, database: Path, dies_at: int) -> None:
    control_fold._MOST_RECORDS = 20  # many small batches to die in
    connection = Connection(bootstrap_servers)
    made = {"dying": Dying, "torn": Torn}[kind]
    fold = made(connection, Controls(Registry(registry_url)), open_database(f"sqlite:///{database}"), dies_at)
    fold.start()
    ends = Progress(connection).ends([Slot(topics.LEDGER, 0)])
    if not fold.wait_for(ends, 60):
        sys.exit(f"the fold did not get to the end: {fold.fault}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]), int(sys.argv[5]))
