"""Kafka Connect belongs to a stack once it was asked for, listens on loopback only, and writes exactly once."""

from pathlib import Path

import pytest

from deploy.local import artifacts, connect, java, stack
from deploy.local.settings import StackSettings


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    return StackSettings.model_validate({"data_dir": tmp_path / "data", "cache_dir": tmp_path / "cache"})


def prepared(settings: StackSettings, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the worker is told, with nothing fetched."""
    monkeypatch.setattr(artifacts, "ensure", lambda artifact, cache: artifact.folder(cache))
    monkeypatch.setattr(connect, "share_base_classes", lambda: None)
    connect.component(settings).prepare()
    lines = (settings.home / "connect" / "worker.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_what_the_worker_is_told(settings: StackSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    told = prepared(settings, monkeypatch)
    assert told["exactly.once.source.support"] == "enabled"
    assert told["listeners"] == f"http://127.0.0.1:{settings.connect_port}"
    assert told["rest.advertised.host.name"] == "127.0.0.1"
    assert told["config.providers.directory.param.allowed.paths"] == str(settings.connect_secrets)
    assert settings.connect_secrets.stat().st_mode & 0o777 == 0o700


def test_it_is_part_of_a_stack_once_it_was_asked_for(settings: StackSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "connect" not in {state.name for state in stack.components(settings)}
    prepared(settings, monkeypatch)
    assert "connect" in {state.name for state in stack.components(settings)}


def test_its_memory_is_capped(settings: StackSettings) -> None:
    assert f"-Xmx{settings.connect_heap_mb}m" in connect.component(settings).command
    assert connect.component(settings).command[0] == str(java.java())
