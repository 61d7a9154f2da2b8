"""A program in the cache folder is whole: whatever happened to the fetch before it, and whoever fetches beside it."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.local import artifacts
from deploy.local.artifacts import Artifact, ensure
from deploy.local.errors import StackError


def test_fetched_once_by_many(tmp_path: Path) -> None:
    fetches: list[Path] = []

    def fetch(folder: Path) -> None:
        fetches.append(folder)
        (folder / "program").write_text("whole")

    artifact = Artifact("tool-1", fetch)
    with ThreadPoolExecutor(8) as pool:
        folders = set(pool.map(lambda _: ensure(artifact, tmp_path), range(8)))
    assert folders == {tmp_path / "tool-1"}
    assert (tmp_path / "tool-1" / "program").read_text() == "whole"
    assert len(fetches) == 1


def test_a_fetch_that_was_cut_short_is_begun_anew(tmp_path: Path) -> None:
    def cut_short(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure(Artifact("tool-1", cut_short), tmp_path)
    assert not (tmp_path / "tool-1").exists()
    folder = ensure(Artifact("tool-1", lambda folder: (folder / "whole").touch()), tmp_path)
    assert [file.name for file in folder.iterdir()] == ["whole"]
    assert list(tmp_path.glob("*partial*")) == []


def test_missing_maven_is_said_only_when_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(StackError, match="Maven is missing: install it"):
        ensure(artifacts.KAFKA, tmp_path)
    artifacts.KAFKA.folder(tmp_path).mkdir()
    assert ensure(artifacts.KAFKA, tmp_path).is_dir()
