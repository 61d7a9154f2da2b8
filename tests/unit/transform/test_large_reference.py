"""A reference of five million rows works in less than 400 MB; in memory, as it was, a smaller one fits in no bound."""

import os
import sys
from pathlib import Path

import pytest

from bench.references import large
from headrace.errors import Fatal
from headrace.transform.engine import Engine
from headrace.transform.store import Store
from tests.unit.transform.test_store import begin, changes

ROWS = 5_000_000
MOST_MB = 400


@pytest.mark.skipif(not os.environ.get("HEADRACE_TEST_LONG"), reason="takes minutes: HEADRACE_TEST_LONG=1")
@pytest.mark.skipif(sys.platform != "linux", reason="looks at a process as Linux shows it")
def test_it_is_loaded_kept_in_step_and_looked_up_in_bounds(tmp_path: Path) -> None:
    found = {finding.what: finding.value for finding in large(tmp_path, ROWS) if finding.unit == "MB"}
    resident = {what: value for what, value in found.items() if "resident" in what}
    assert len(resident) >= 5
    assert max(resident.values()) < MOST_MB, resident


def test_in_memory_it_does_not_fit_and_in_a_file_it_does(tmp_path: Path) -> None:
    def load(engine: Engine) -> None:
        begin(engine)
        for first in range(0, 1_000_000, 20_000):
            engine.load(changes(first))
        engine.close()

    load(Engine("16MB", store=Store(tmp_path)))
    with pytest.raises(Fatal, match="could not allocate"):
        load(Engine("16MB"))
