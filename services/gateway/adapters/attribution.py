"""Asks a dataset's SQL which of its conditions dropped a row."""

import threading
from typing import Final

from headrace.contract import Contract, References, compile_transform
from headrace.errors import Fatal
from headrace.stream.stage import Batch
from headrace.stream.staging import staged
from headrace.transform.engine import Engine
from headrace.transform.isolate import RowError
from headrace.transform.stage import Transform

_LIMIT_S: Final = 5.0


class Attribution:
    """One row at a time, so that the memory of one engine bounds what they all take."""

    def __init__(self) -> None:
        self._turn = threading.Lock()

    def rule(self, contract: Contract, version: int, raw: Batch) -> str | None:
        """The condition that drops the only row of a raw batch, by this version of the file.

        None when it drops none, and where the SQL reads other datasets: what they held by then is not known here.
        """
        if compile_transform(contract).references:
            return None
        checks = [check for check in contract.checks if not isinstance(check, References)]
        alone = contract.model_copy(update={"checks": checks})
        with self._turn:
            engine = Engine(time_limit_s=_LIMIT_S)
            try:
                outcome = Transform(engine, alone, version)(Batch(raw.raw, staged(raw, version), raw.schema_id))
            except (Fatal, RowError):
                return None
            finally:
                engine.close()
        return next((rule for rule, rows in outcome.filtered.items() if len(rows)), None)
