"""What is started and stopped, in which order, and what the user is told when that fails.

`up` and `down` are for people; `start_service`, `stop`, `kill` and `restart` are for tests, which need to
break single components. All of them may be called again at any time.
"""

import fcntl
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from deploy.local import connect, kafka, processes, programs, registry
from deploy.local.component import Component, ComponentState
from deploy.local.credentials import Credentials, ensure, read
from deploy.local.errors import StackError
from deploy.local.logs import last_lines, turn_over
from deploy.local.ports import free_port, holder
from deploy.local.processes import Roster, Started
from deploy.local.settings import StackSettings

INFRASTRUCTURE = ("kafka", "registry", "warehouse")
COMPONENTS = (*INFRASTRUCTURE, *programs.SERVICES)

#: Started when asked for, and from then on with all others: a stack whose datasets capture changes needs it.
OPTIONAL = ("connect",)

_KNOWN = (*INFRASTRUCTURE, *OPTIONAL, *programs.SERVICES)
_STOPPING_ORDER = (programs.SERVICES, ("registry", "warehouse", "connect"), ("kafka",))

Progress = Callable[[str, str], None]
"""Called with a component's name and what happens to it: preparing, starting, ready, already running, stopping, stopped."""

_POLL_S = 0.1


def up(
    settings: StackSettings,
    only: Iterable[str] | None = None,
    progress: Progress = lambda *_: None,
    *,
    extra: Iterable[str] = (),
) -> list[ComponentState]:
    """Starts what does not run yet, and returns when all of it is ready. Data of earlier runs is kept.

    `only`: names of components, instead of all. What they need must run or be among them. `extra`: optional ones beside them.
    Errors: StackError; what did start keeps running, so the next call goes on from there.
    """
    wanted = _known(settings, only, extra)
    with _alone(settings):
        credentials = ensure(settings.home)
        _start(settings, [_component(settings, credentials, n) for n in wanted if n not in programs.SERVICES], progress)
        _start(settings, [_component(settings, credentials, n) for n in wanted if n in programs.SERVICES], progress)
    return [state for state in components(settings) if state.name in wanted]


def down(settings: StackSettings, progress: Progress = lambda *_: None) -> list[str]:
    """Stops everything that was started from this data folder, users of a thing before the thing. Returns the names."""
    if not settings.home.exists():
        return []
    with _alone(settings):
        started = sorted(_roster(settings).all(), key=lambda each: _order(each.name), reverse=True)
        for kinds in _STOPPING_ORDER:
            _stop(settings, [each for each in started if _kind(each.name) in kinds], progress)
    return [each.name for each in started]


def start_service(settings: StackSettings, name: str, instance: str = programs.FIRST_INSTANCE) -> ComponentState:
    """Starts one instance of a service, beside those that run. Returns when it is ready. Its name is `<name>-<instance>`."""
    if name not in programs.SERVICES:
        raise StackError(f"There is no service {name}: it is one of {', '.join(programs.SERVICES)}.")
    port = None if instance == programs.FIRST_INSTANCE else free_port()
    with _alone(settings):
        component = programs.service(settings, ensure(settings.home), name, instance, port)
        _start(settings, [component], lambda *_: None)
    return _state_of(settings, component.name)


def stop(settings: StackSettings, name: str) -> None:
    """Stops one component gracefully."""
    if (started := _roster(settings).get(name)) is not None:
        _stop(settings, [started], lambda *_: None)


def kill(settings: StackSettings, name: str) -> None:
    """SIGKILL to one component, which then counts as dead until it is started again."""
    if (started := _roster(settings).get(name)) is not None:
        processes.kill(started)


def restart(settings: StackSettings, name: str) -> ComponentState:
    """Stops one component, should it run, and starts it again."""
    stop(settings, name)
    service, _, instance = name.partition("-")
    if service in programs.SERVICES:
        return start_service(settings, service, instance or programs.FIRST_INSTANCE)
    return up(settings, only=[name])[0]


def components(settings: StackSettings) -> list[ComponentState]:
    """How every component is, and every further instance that was started."""
    extra = {each.name for each in _roster(settings).all()}
    return [_state_of(settings, name) for name in sorted({*_everyday(settings), *extra}, key=_order)]


def admin_token(settings: StackSettings) -> str | None:
    """The bearer token of the gateway's administrator, or None if the stack was never started here."""
    credentials = read(settings.home)
    return credentials.admin_token.get_secret_value() if credentials else None


def _start(settings: StackSettings, wanted: list[Component], progress: Progress) -> None:
    """Starts them side by side, each as soon as it is prepared, then waits for all to be ready."""
    roster = _roster(settings)
    cold = [component for component in wanted if not _runs(roster, component.name)]
    for component in wanted:
        progress(component.name, "preparing" if component in cold else "already running")
    for component in cold:
        _require_free_ports(component)
    starting = []
    with ThreadPoolExecutor(max_workers=max(1, len(cold))) as pool:
        prepared = {pool.submit(component.prepare): component for component in cold}
        for future in as_completed(prepared):
            component = prepared[future]
            future.result()
            turn_over(component.console, settings.log_size_mb << 20 if component.console == component.log else 0)
            progress(component.name, "starting")
            started = processes.spawn(component)
            roster.put(started)
            starting.append((component, started))
    deadline = time.monotonic() + settings.start_timeout_s
    for component, started in sorted(starting, key=lambda each: _order(each[0].name)):
        _wait_until_ready(component, started, deadline)
        progress(component.name, "ready")
    for component, started in starting:
        _require_alive(component, started)


def _runs(roster: Roster, name: str) -> bool:
    started = roster.get(name)
    return started is not None and processes.alive(started) is not None


def _wait_until_ready(component: Component, started: Started, deadline: float) -> None:
    while not component.ready():
        _require_alive(component, started)
        if time.monotonic() > deadline:
            said = last_lines(component.log, component.console)
            raise StackError(f"{component.name} runs but is not ready. Its log ({component.log}) ends:\n{said}")
        time.sleep(_POLL_S)


def _require_alive(component: Component, started: Started) -> None:
    if processes.alive(started) is None:
        said = last_lines(component.console, component.log)
        raise StackError(f"{component.name} stopped as it was starting. Its log ({component.log}) ends:\n{said}")


def _require_free_ports(component: Component) -> None:
    for setting, port in component.ports.items():
        if (taken_by := holder(port)) is not None:
            raise StackError(
                f"{component.name} cannot start: port {port} is taken by {taken_by}. "
                f"Stop that, or choose another port with HEADRACE_STACK_{setting.upper()}."
            )


def _stop(settings: StackSettings, together: list[Started], progress: Progress) -> None:
    """Asks all of them to stop at the same time, then sees each of them off."""
    deadline = time.monotonic() + settings.stop_timeout_s
    for started in together:
        progress(started.name, "stopping")
        processes.ask_to_stop(started)
    for started in together:
        gracefully = processes.see_off(started, max(0.0, deadline - time.monotonic()))
        _roster(settings).remove(started.name)
        progress(started.name, "stopped" if gracefully else "killed, it did not stop in time")


def _state_of(settings: StackSettings, name: str) -> ComponentState:
    started = _roster(settings).get(name)
    if started is None:
        return ComponentState(
            name, "stopped", None, settings.port_of(name), None, settings.logs / f"{name}.log", since=None
        )
    process = processes.alive(started)
    if process is None:
        return ComponentState(name, "dead", None, started.port, None, Path(started.log), since=None)
    with process.oneshot():
        memory_mb = process.memory_info().rss / (1 << 20)
        since = datetime.fromtimestamp(process.create_time(), UTC)
    return ComponentState(name, "running", started.pid, started.port, memory_mb, Path(started.log), since)


def _component(settings: StackSettings, credentials: Credentials, name: str) -> Component:
    match name:
        case "kafka":
            return kafka.component(settings)
        case "registry":
            return registry.component(settings)
        case "connect":
            return connect.component(settings)
        case "warehouse":
            return programs.warehouse(settings, credentials)
        case _:
            return programs.service(settings, credentials, name)


def _everyday(settings: StackSettings) -> tuple[str, ...]:
    """What this stack consists of."""
    return tuple(name for name in _KNOWN if name not in OPTIONAL or connect.wanted(settings))


def _known(settings: StackSettings, only: Iterable[str] | None, extra: Iterable[str]) -> list[str]:
    wanted = {*(_everyday(settings) if only is None else only), *extra}
    if unknown := wanted - set(_KNOWN):
        raise StackError(f"There is no component {', '.join(sorted(unknown))}: choose among {', '.join(_KNOWN)}.")
    return [name for name in _KNOWN if name in wanted]


def _kind(name: str) -> str:
    """The component a further instance is an instance of."""
    return name.partition("-")[0]


def _order(name: str) -> tuple[int, str]:
    return _KNOWN.index(_kind(name)), name


def _roster(settings: StackSettings) -> Roster:
    return Roster(settings.home / "run")


@contextmanager
def _alone(settings: StackSettings) -> Iterator[None]:
    """One `up` or `down` at a time for a data folder: a second one waits."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
