"""One command starts the real parts, another stops them; what goes wrong is said in a sentence with what to do."""

import json
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from deploy.local import artifacts, stack
from deploy.local.component import ComponentState
from deploy.local.credentials import ensure
from deploy.local.doctor import Finding, doctor
from deploy.local.errors import StackError
from deploy.local.settings import StackSettings
from tests.stack import PORTS, Stack, eventually, free_ports, running


@pytest.fixture(scope="module")
def infrastructure() -> Iterator[Stack]:
    """A stack of this module's own, because it is broken and mended here."""
    with running(stack.INFRASTRUCTURE) as started:
        yield started


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[StackSettings]:
    """Settings of a stack that does not run."""
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    settings = StackSettings.model_validate({"data_dir": tmp_path, "start_timeout_s": 60, **ports})
    yield settings
    stack.down(settings)


def states(settings: StackSettings) -> dict[str, ComponentState]:
    return {state.name: state for state in stack.components(settings)}


def findings(settings: StackSettings) -> dict[str, Finding]:
    return {finding.what: finding for finding in doctor(settings)}


def warehouse(settings: StackSettings, sql: str) -> str:
    auth = ("headrace", ensure(settings.home).warehouse_password.get_secret_value())
    answer = httpx.post(settings.warehouse_url, content=sql, auth=auth, timeout=30)
    assert answer.is_success, answer.text
    return answer.text.strip()


def test_up_again_says_so_and_starts_nothing(infrastructure: Stack) -> None:
    before = states(infrastructure.settings)
    said: list[tuple[str, str]] = []
    again = stack.up(infrastructure.settings, stack.INFRASTRUCTURE, lambda name, what: said.append((name, what)))
    assert sorted(said) == [(name, "already running") for name in sorted(stack.INFRASTRUCTURE)]
    assert [(each.name, each.pid) for each in again] == [(name, before[name].pid) for name in stack.INFRASTRUCTURE]


def test_components(infrastructure: Stack) -> None:
    for state in states(infrastructure.settings).values():
        if state.name in stack.INFRASTRUCTURE:
            assert state.state == "running"
            assert state.memory_mb is not None
            assert state.memory_mb > 10
            assert state.since is not None
        else:
            assert (state.state, state.pid, state.since) == ("stopped", None, None)


def test_everything_listens_on_loopback_only(infrastructure: Stack) -> None:
    pids = {state.pid for state in stack.components(infrastructure.settings) if state.pid}
    listening = [c for c in psutil.net_connections("inet") if c.pid in pids and c.status == psutil.CONN_LISTEN]
    assert len(listening) >= 5
    addresses = {connection.laddr.ip.removeprefix("::ffff:") for connection in listening if connection.laddr}
    assert addresses == {"127.0.0.1"}


def test_logs_are_json_lines_in_one_folder(infrastructure: Stack) -> None:
    for name in ("kafka", "registry"):
        lines = (infrastructure.settings.logs / f"{name}.log").read_text().splitlines()
        assert all(json.loads(line)["message"] is not None for line in lines)
        assert lines


def test_no_secret_is_on_a_command_line_or_open_to_others(infrastructure: Stack) -> None:
    file = infrastructure.settings.home / "secrets.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secrets = json.loads(file.read_text()).values()
    for state in stack.components(infrastructure.settings):
        if state.pid:
            command = " ".join(psutil.Process(state.pid).cmdline())
            assert not any(secret in command for secret in secrets)


def test_the_registry_refuses_incompatible_schemas(infrastructure: Stack) -> None:
    def register(fields: list[dict[str, object]]) -> int:
        schema = json.dumps({"type": "record", "name": "R", "fields": fields})
        url = f"{infrastructure.registry_url}/subjects/stack-test-value/versions"
        return httpx.post(url, json={"schema": schema}, timeout=30).status_code

    first: dict[str, object] = {"name": "a", "type": "int"}
    assert register([first]) == 200
    assert register([first, {"name": "b", "type": "int"}]) == 409
    assert register([first, {"name": "b", "type": ["null", "int"], "default": None}]) == 200


def test_data_survives_down_and_up(infrastructure: Stack) -> None:
    settings = infrastructure.settings
    kafka = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    kafka.create_topics([NewTopic("kept", 3, 1)])["kept"].result(30)
    schema = {"schema": json.dumps({"type": "record", "name": "Kept", "fields": []})}
    kept = f"{settings.registry_url}/subjects/kept-value/versions"
    assert httpx.post(kept, json=schema, timeout=30).is_success
    warehouse(settings, "CREATE TABLE default.kept (a Int8) ENGINE = MergeTree ORDER BY a")
    warehouse(settings, "INSERT INTO default.kept VALUES (42)")
    secrets = ensure(settings.home)

    assert set(stack.down(settings)) == set(stack.INFRASTRUCTURE)
    assert {state.state for state in stack.components(settings)} == {"stopped"}
    assert stack.down(settings) == []
    stack.up(settings, stack.INFRASTRUCTURE)

    again = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    assert len(again.list_topics("kept", timeout=30).topics["kept"].partitions) == 3
    assert httpx.get(f"{kept}/latest", timeout=30).json()["subject"] == "kept-value"
    assert warehouse(settings, "SELECT a FROM default.kept") == "42"
    assert ensure(settings.home) == secrets


def test_a_dead_component_is_seen_and_started_again(infrastructure: Stack) -> None:
    settings = infrastructure.settings
    assert findings(settings)["warehouse"].level == "ok"
    stack.kill(settings, "warehouse")
    assert states(settings)["warehouse"].state == "dead"
    finding = findings(settings)["warehouse"]
    assert finding.level == "fail"
    assert "headrace up" in finding.todo
    stack.up(settings, ["warehouse"])
    assert warehouse(settings, "SELECT 1") == "1"
    assert findings(settings)["warehouse"].level == "ok"


def test_a_component_can_be_restarted_alone(infrastructure: Stack) -> None:
    settings = infrastructure.settings
    before = states(settings)
    restarted = stack.restart(settings, "warehouse")
    assert restarted.pid != before["warehouse"].pid
    assert states(settings)["kafka"].pid == before["kafka"].pid


def test_instances_of_a_service_run_side_by_side(infrastructure: Stack) -> None:
    settings = infrastructure.settings
    first = stack.start_service(settings, "stager")
    second = stack.start_service(settings, "stager", instance="2")
    assert (first.name, second.name) == ("stager", "stager-2")
    assert len({first.pid, second.pid}) == len({first.port, second.port}) == 2
    assert httpx.get(f"http://127.0.0.1:{second.port}/metrics", timeout=10).is_success
    stack.kill(settings, "stager-2")
    assert states(settings)["stager-2"].state == "dead"
    assert states(settings)["stager"].state == "running"
    assert stack.restart(settings, "stager-2").state == "running"
    for name in ("stager", "stager-2"):
        stack.stop(settings, name)
    assert "stager-2" not in states(settings)


def test_the_doctor_finds_a_healthy_stack_healthy(infrastructure: Stack) -> None:
    found = findings(infrastructure.settings)
    assert [finding for finding in found.values() if finding.level == "fail"] == []
    assert {"Python", "Java", "downloads", "disk", "memory", "kafka", "topics"} <= found.keys()
    assert all(finding.todo for finding in found.values() if finding.level != "ok")


def test_a_taken_port_is_named_with_who_has_it_and_the_setting(idle: StackSettings) -> None:
    with socket.create_server(("127.0.0.1", idle.warehouse_port)):
        with pytest.raises(StackError, match=rf"port {idle.warehouse_port} is taken by process \d+ .*WAREHOUSE_PORT"):
            stack.up(idle, ["warehouse"])
        finding = findings(idle)[f"port {idle.warehouse_port}"]
        assert (finding.level, "HEADRACE_STACK_WAREHOUSE_PORT" in finding.todo) == ("fail", True)
    stack.up(idle, ["warehouse"])
    assert f"port {idle.warehouse_port}" not in findings(idle)


def test_a_component_that_dies_as_it_starts_is_shown_with_the_end_of_its_log(idle: StackSettings) -> None:
    other = idle.model_copy(update={"data_dir": idle.home / "other", "warehouse_port": free_ports(1)[0]})
    stack.up(other, ["warehouse"])
    (idle.home / "warehouse").symlink_to(other.home / "warehouse")
    try:
        with pytest.raises(StackError, match=r"(?s)warehouse stopped as it was starting.*in use by process"):
            stack.up(idle, ["warehouse"])
        assert states(idle)["warehouse"].state == "dead"
    finally:
        stack.down(other)


def test_missing_maven_is_said_in_a_sentence(
    idle: StackSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = idle.model_copy(update={"cache_dir": tmp_path / "empty"})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match="Maven is missing: install it"):
        stack.up(settings, ["kafka"])
    assert findings(settings)["downloads"].level == "fail"
    assert not artifacts.KAFKA.present(settings.cache)


def test_unknown_components_are_refused(idle: StackSettings) -> None:
    with pytest.raises(StackError, match=r"no component kafak: choose among kafka"):
        stack.up(idle, ["kafak"])
    with pytest.raises(StackError, match="no service warehouse"):
        stack.start_service(idle, "warehouse")


def test_down_leaves_strangers_alone(idle: StackSettings) -> None:
    """Another warehouse, started by hand, has the same command line but for its port and folder."""
    command = [sys.executable, "-m", "deploy.local.warehouse", "--path", str(idle.home / "w"), "--port", "0"]
    stranger = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        stack.up(idle, ["warehouse"])
        assert stack.down(idle) == ["warehouse"]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_nothing_is_made_by_asking(tmp_path: Path) -> None:
    settings = StackSettings(data_dir=tmp_path / "never")
    assert stack.down(settings) == []
    assert stack.admin_token(settings) is None
    assert {state.state for state in stack.components(settings)} == {"stopped"}
    eventually(lambda: not (tmp_path / "never").exists(), 1, "no folder")
