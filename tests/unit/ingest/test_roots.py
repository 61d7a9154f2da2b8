"""A file source reads below the folders it is given, and nothing else."""

from pathlib import Path

import pytest

from headrace.errors import Fatal
from services.ingest.connectors.file.connector import FileConnector
from services.ingest.connectors.file.csv_files import CsvFiles
from services.ingest.connectors.file.format import FileOptions
from services.ingest.connectors.file.storage.local import LocalFiles
from services.ingest.connectors.folders import Folders
from tests.unit.ingest.reading import connector, read


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The folder of sources, and one beside it with a secret."""
    inside, outside = tmp_path / "files", tmp_path / "private"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "f.csv").write_text("id\n1\n")
    return inside, outside


@pytest.mark.parametrize(
    "path",
    [
        "../private/f.csv",
        "../private/*.csv",
        "{outside}/f.csv",
        "{outside}/nothing-*.csv",
        "link/f.csv",
        "*/f.csv",
        "{inside}/../private/f.csv",
    ],
)
def test_what_lies_elsewhere_is_refused_and_the_setting_named(folders: tuple[Path, Path], path: str) -> None:
    inside, outside = folders
    (inside / "link").symlink_to(outside)
    source = connector(inside, path.format(inside=inside, outside=outside))
    (step,) = source.check()
    assert (step.ok, step.field) == (False, "source.path")
    assert "HEADRACE_SOURCE_ROOTS" in step.message
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_DIR"):
        read(source)


def test_what_lies_in_the_folder_is_read_by_an_absolute_path_too(folders: tuple[Path, Path]) -> None:
    inside, _ = folders
    for path in ("f.csv", "*.csv", str(inside / "f.csv"), str(inside / "*.csv")):
        assert read(connector(inside, path)).column("id") == [1]


def test_a_further_folder_can_be_allowed(folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    options = FileOptions(str(outside / "f.csv"), settle_s=0.0)
    storage = LocalFiles(options.path, Folders(inside, [outside]))
    assert read(FileConnector(options, {"csv": CsvFiles(options, None)}, storage)).column("id") == [1]
