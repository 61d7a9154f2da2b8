"""Ingest and the server it reads from die in the middle: every row is loaded once, whatever kind of source it is."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
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


Made = Callable[[Path], Origin]


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest, platform: Platform) -> Iterator[Made]:
    """Makes origins of one kind, which end with the test."""
    kind: str = request.param
    make = partial(_SERVERS[kind], server=request.getfixturevalue(kind)) if kind in _SERVERS else _PLAIN[kind]
    with ExitStack() as ends:

        def one(folder: Path) -> Origin:
            folder.mkdir()
            origin = make(platform, name_of_run(), folder)
            ends.callback(origin.close)
            return origin

        yield one


def test_no_row_is_lost_or_loaded_twice(platform: Platform, made: Made, tmp_path: Path) -> None:
    for rows in (ROWS, 4 * ROWS, 16 * ROWS):  # a fast machine may have read all there is before the source is dead
        if _died_at_work(platform, made(tmp_path / str(rows)), rows):
            return
    pytest.fail("ingest had always read everything before its source was dead")


def _died_at_work(platform: Platform, origin: Origin, rows: int) -> bool:
    """Kill both and see that nothing comes of it. Says whether there was something left to read."""
    origin.fill(source_rows(rows))
    run: Run = begin_from(platform, origin.name, origin.source, rows)
    settings = platform.stack.settings
    run.wait_for("ingest", 20)
    local.kill(settings, "ingest")
    local.up(settings, only=["ingest"])
    run.wait_for("ingest", 50)
    origin.kill()
    died_at_work = run.progress("ingest") < run.input_of("ingest")
    origin.restart()
    assert run.faults(run.settle()) == []
    return died_at_work
