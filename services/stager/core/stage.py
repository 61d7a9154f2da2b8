"""Every raw record goes on, with its identity."""

import pyarrow as pa

from headrace.stream.stage import Batch, Emitted, Outcome
from headrace.stream.staging import staged


class StagerStage:
    """Emits every raw record with its system columns appended."""

    name = "stager"

    def __init__(self, version: int) -> None:
        self._version = version

    def __call__(self, batch: Batch) -> Outcome:
        """See `headrace.stream.stage.Stage`."""
        return Outcome((Emitted(pa.array(range(len(batch.raw)), pa.int64()), staged(batch, self._version)),))
