"""What is done to the platform: which process dies or freezes, when, and how all is well again afterwards."""

import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from deploy.local import stack as local
from deploy.local.settings import StackSettings
from tests.chaos.run import Run

STAGES = ("ingest", "stager", "transformer", "quality", "loader")


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL to a component once a stage has taken in a share of the rows. Units: percent."""

    component: str
    stage: str
    share: int

    def __str__(self) -> str:
        return f"{self.component}-{self.share}"


def strike(run: Run, kills: Iterable[Kill]) -> None:
    """Carry the kills out, each in its own time, and start again what was killed."""
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(_kill, run, kill) for kill in kills]:
            done.result()


def _kill(run: Run, kill: Kill) -> None:
    run.wait_for(kill.stage, kill.share)
    settings = run.platform.stack.settings
    local.kill(settings, kill.component)
    assert run.progress(kill.stage) < run.input_of(kill.stage), f"the fault came too late to meet {kill.stage} at work"
    local.up(settings, only=[kill.component])


def kill_everything(settings: StackSettings) -> None:
    """SIGKILL to every process of the stack."""
    for component in reversed(local.components(settings)):
        local.kill(settings, component.name)


def mended(settings: StackSettings) -> None:
    """Start what does not run, and stop further instances."""
    for component in local.components(settings):
        if component.name not in local.COMPONENTS:
            local.stop(settings, component.name)
    local.up(settings)


def memory_mb(settings: StackSettings) -> dict[str, float]:
    """What each running component takes."""
    return {each.name: each.memory_mb for each in local.components(settings) if each.memory_mb is not None}


@contextmanager
def frozen(settings: StackSettings, name: str) -> Iterator[None]:
    """A component that stands still for a while and does not know it."""
    pid = next(each.pid for each in local.components(settings) if each.name == name)
    assert pid is not None, f"{name} does not run"
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
