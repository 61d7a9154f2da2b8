"""Ingest and the server it reads from die in the middle: every row is loaded once, whatever kind of source it is."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from deploy.local import stack as local
from tests.chaos.origins import S3, KafkaTopic, MariaDbTable, Origin, Postgres, Rest, Sftp
from tests.chaos.run import ROWS, Run, begin_from, name_of_run, source_rows
from tests.stack import Platform

KINDS: Final = ("rest", "sftp", "s3", "postgresql", "mariadb", "kafka")
_PLAIN: Final[dict[str, Callable[[Platform, str, Path], Origin]]] = {
    "rest": Rest,
    "sftp": Sftp,
    "s3": S3,
    "kafka": KafkaTopic,
}
_SERVERS: Final[dict[str, Callable[..., Origin]]] = {"postgresql": Postgres, "mariadb": MariaDbTable}


@pytest.fixture(params=KINDS)
def origin(request: pytest.FixtureRequest, platform: Platform, tmp_path: Path) -> Iterator[Origin]:
    kind: str = request.param
    made = partial(_SERVERS[kind], server=request.getfixturevalue(kind)) if kind in _SERVERS else _PLAIN[kind]
    found = made(platform, name_of_run(), tmp_path)
    yield found
    found.close()


def test_no_row_is_lost_or_loaded_twice(platform: Platform, origin: Origin) -> None:
    origin.fill(source_rows(ROWS))
    run: Run = begin_from(platform, origin.name, origin.source, ROWS)
    settings = platform.stack.settings
    run.wait_for("ingest", 20)
    local.kill(settings, "ingest")
    local.up(settings, only=["ingest"])
    run.wait_for("ingest", 50)
    origin.kill()
    assert run.progress("ingest") < run.input_of("ingest"), "the fault came too late to meet ingest at work"
    origin.restart()
    assert run.faults(run.settle()) == []
