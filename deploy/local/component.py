"""What a component of the stack is: a process, how it is started, and when it counts as ready."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

State = Literal["running", "stopped", "dead"]


@dataclass(frozen=True)
class Component:
    """One process. `prepare` runs before each start and may take a while; `ready` says whether it serves.

    `console`: the file that takes what the process prints. A component that writes its own log turns it over itself.
    """

    name: str
    command: tuple[str, ...]
    ports: Mapping[str, int]
    ready: Callable[[], bool]
    log: Path
    console: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    prepare: Callable[[], None] = lambda: None

    @property
    def port(self) -> int:
        """The port it is known by: the first."""
        return next(iter(self.ports.values()))


@dataclass(frozen=True)
class ComponentState:
    """How a component is. `dead`: it was started, was not stopped, and is gone. Unit: memory in megabytes."""

    name: str
    state: State
    pid: int | None
    port: int
    memory_mb: float | None
    log: Path
    since: datetime | None
