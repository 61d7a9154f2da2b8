"""A client of Kafka Connect's REST interface: only what driving one connector of one task needs."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import httpx

from headrace.errors import Fatal, HeadraceError, Transient
from services.ingest.connectors.cdc.config import Config, differs

_REPLY_S: Final = 30.0
_HALT_S: Final = 30.0
#: A configuration is refused, too, while the database it names cannot be reached.
_PASSES: Final = ("Unable to connect", "Communications link failure", "Connection refused", "starting up", "too many")
_BUSY: Final = (409, 500, 503)  # a worker that is starting or handing work over says these


@dataclass(frozen=True, slots=True)
class Status:
    """How a connector is: states are RUNNING, PAUSED, STOPPED, FAILED, UNASSIGNED, RESTARTING. `trace` is of what failed."""

    connector: str
    task: str | None
    trace: str = ""

    @property
    def failed(self) -> bool:
        """Whether it has given up."""
        return "FAILED" in (self.connector, self.task)

    @property
    def running(self) -> bool:
        """Whether its task runs."""
        return self.task == "RUNNING"

    @property
    def cause(self) -> str:
        """The innermost line of the trace that says why."""
        causes = [line for line in self.trace.splitlines() if line.startswith("Caused by: ")]
        lines = causes or self.trace.splitlines() or ["it does not say why"]
        _, colon, said = lines[-1].removeprefix("Caused by: ").partition(": ")
        return said.strip() if colon else lines[-1].strip()


@dataclass(frozen=True, slots=True)
class Fault:
    """What Connect finds wrong with one property of a configuration."""

    name: str
    said: str


class Connect:
    """One worker, or one of several. Errors of all methods: Transient when it does not answer, Fatal when it refuses."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._client = httpx.Client(base_url=self._url, timeout=_REPLY_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return self._url

    def version(self) -> str:
        """What the worker is."""
        return str(self._asked("GET", "/")["version"])

    def plugins(self) -> list[str]:
        """The classes of connectors it has."""
        return [plugin["class"] for plugin in self._asked("GET", "/connector-plugins")]

    def faults(self, config: Config) -> list[Fault]:
        """What is wrong with a configuration, in the words of the connector, which tries the database."""
        path = f"/connector-plugins/{config['connector.class']}/config/validate"
        answer = self._asked("PUT", path, config | {"name": config["topic.prefix"]})
        values = [entry["value"] for entry in answer["configs"] if entry["value"] is not None]
        return [Fault(value["name"], "; ".join(value["errors"])) for value in values if value["errors"]]

    def config(self, name: str) -> Mapping[str, str] | None:
        """What a connector was told; None when there is none of this name."""
        found = self._found("GET", f"/connectors/{name}/config")
        return None if found is None else {key: str(value) for key, value in found.items()}

    def ensure(self, name: str, config: Config) -> bool:
        """Create a connector, or tell it what has changed. Returns whether there was anything to say."""
        found = self.config(name)
        if found is not None and not differs(config, found):
            return False
        if faults := self.faults(config):  # asked first: Connect may say nothing of them when it refuses
            raise _refusal(f"Debezium cannot capture: {'; '.join(fault.said for fault in faults)}")
        self._asked("PUT", f"/connectors/{name}/config", config)
        return True

    def status(self, name: str) -> Status | None:
        """How a connector is; None when there is none, or it has not started yet."""
        found = self._found("GET", f"/connectors/{name}/status")
        if found is None:
            return None
        connector, tasks = found["connector"], found["tasks"]
        task = tasks[0] if tasks else None
        trace = (task or {}).get("trace") or connector.get("trace") or ""
        return Status(connector["state"], task["state"] if task else None, trace)

    def offsets(self, name: str) -> list[Mapping[str, Any]]:
        """How far a connector has read its source: nothing when it has not begun."""
        found = self._found("GET", f"/connectors/{name}/offsets")
        return [entry["offset"] for entry in (found or {}).get("offsets", []) if entry["offset"] is not None]

    def restart(self, name: str) -> None:
        """Start what has failed of a connector again."""
        self._found("POST", f"/connectors/{name}/restart?includeTasks=true&onlyFailed=true")

    def pause(self, name: str) -> None:
        """Let a connector rest, with its task in memory."""
        self._found("PUT", f"/connectors/{name}/pause")

    def resume(self, name: str) -> None:
        """Let a connector go on that was paused or stopped."""
        self._found("PUT", f"/connectors/{name}/resume")

    def stop(self, name: str) -> None:
        """End a connector's task; its configuration and its offsets stay."""
        self._found("PUT", f"/connectors/{name}/stop")

    def halt(self, name: str) -> None:
        """End a connector's task and wait until it has ended: nothing is written then. Transient when it does not end."""
        self.stop(name)
        deadline = time.monotonic() + _HALT_S
        while (status := self.status(name)) is not None:
            if status.connector == "STOPPED" and status.task is None:
                return
            if time.monotonic() > deadline:
                raise Transient(f"the connector {name} does not stop within {_HALT_S:g} s")
            time.sleep(0.1)

    def forget(self, name: str) -> None:
        """Delete how far a connector has read. It has to be stopped."""
        self._found("DELETE", f"/connectors/{name}/offsets")

    def delete(self, name: str) -> None:
        """Delete a connector."""
        self._found("DELETE", f"/connectors/{name}")

    def _asked(self, method: str, path: str, body: Config | None = None) -> Any:
        found = self._found(method, path, body)
        if found is None:
            raise Fatal(
                f"Kafka Connect at {self._url} knows no {path}: is it Kafka Connect 4 with the plugins of Debezium?"
            )
        return found

    def _found(self, method: str, path: str, body: Config | None = None) -> Any:
        """The answer; None when there is no such thing."""
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise Transient(
                f"Kafka Connect at {self._url} does not answer ({type(error).__name__}); "
                "in the local stack start it with `headrace up --with connect`"
            ) from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            if "json" not in answer.headers.get("content-type", ""):  # its web server is up, and nothing in it yet
                raise Transient(f"Kafka Connect at {self._url} is starting")
            return None
        if answer.status_code in _BUSY:
            raise Transient(f"Kafka Connect at {self._url} is not ready for {method} {path}: {_message(answer)}")
        if answer.is_error:
            raise _refusal(f"Kafka Connect at {self._url} refuses {method} {path}: {_message(answer)}")
        return answer.json() if answer.content else {}


def _refusal(said: str) -> HeadraceError:
    """Transient while the database cannot be reached, else Fatal."""
    return Transient(said) if any(text in said for text in _PASSES) else Fatal(said)


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
