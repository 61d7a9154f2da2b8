"""What holds of every process at work: nobody outside can reach it, a program can read its log, no secret shows."""

import json

import psutil
import pytest

from deploy.local import stack as local
from tests.stack import Platform


@pytest.fixture(scope="module")
def running(platform: Platform) -> list[psutil.Process]:
    """Every process of the stack, all at work."""
    states = local.components(platform.stack.settings)
    assert {state.name for state in states if state.pid} >= set(local.COMPONENTS)
    return [psutil.Process(state.pid) for state in states if state.pid]


def test_everything_listens_on_loopback_only(running: list[psutil.Process]) -> None:
    for process in running:
        sockets = [each for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN]
        assert sockets, f"{process.cmdline()} listens nowhere"
        assert {each.laddr.ip.removeprefix("::ffff:") for each in sockets} == {"127.0.0.1"}, process.cmdline()


def test_logs_are_json_lines_in_one_folder(platform: Platform, running: list[psutil.Process]) -> None:
    for name in set(local.COMPONENTS) - {"warehouse"}:  # its log is for what its engine prints when it breaks
        lines = (platform.stack.settings.logs / f"{name}.log").read_text().splitlines()
        assert lines
        assert all({"level", "message"} <= json.loads(line).keys() for line in lines), name


def test_no_secret_is_on_a_command_line(platform: Platform, running: list[psutil.Process]) -> None:
    secrets = json.loads((platform.stack.settings.home / "secrets.json").read_text()).values()
    for process in running:
        assert not any(secret in " ".join(process.cmdline()) for secret in secrets)
