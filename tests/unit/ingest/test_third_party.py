"""A package of one's own brings a connector: the template is installed beside Headrace, and found."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TEMPLATE = Path(__file__).parents[3] / "examples" / "connector-template"
DATASET = "dataset: my.numbers\ndescription: d\nowner: {team: t}\nsource: {type: counter, upto: 12}\n"
READ = """
from headrace.connector import Surroundings, opened
from headrace.contract import load
source = load(open(sys.argv[1]).read()).source
print([fetched.rows.num_rows for fetched, _ in opened(source, Surroundings("my.numbers", batch_rows=5)).read(None)])
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder of packages with the template in it, as an installer leaves it."""
    project = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())["project"]
    info = tmp_path / "headrace_counter-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    lines = (f"[{group}]\n" + "".join(f"{name} = {at}\n" for name, at in points.items()) for group, points in groups)
    (info / "entry_points.txt").write_text("\n".join(lines))
    (tmp_path / "headrace_counter.py").write_text((TEMPLATE / "headrace_counter.py").read_text())
    return tmp_path


def run(packages: Path | None, *command: str) -> subprocess.CompletedProcess[str]:
    path = {"PYTHONPATH": str(packages)} if packages else {}
    return subprocess.run(
        [sys.executable, *command], env={**os.environ, **path}, capture_output=True, text=True, timeout=60
    )


def test_it_is_read_as_any_other(installed: Path, tmp_path: Path) -> None:
    file = tmp_path / "numbers.yaml"
    file.write_text(DATASET)
    done = run(installed, "-c", "import sys" + READ, str(file))
    assert done.stdout.strip() == "[5, 5, 2]", done.stderr


def test_its_settings_are_checked(installed: Path, tmp_path: Path) -> None:
    file = tmp_path / "numbers.yaml"
    file.write_text(DATASET.replace("upto", "uptoo"))
    done = run(installed, "-c", "import sys" + READ, str(file))
    assert "Did you mean upto?" in done.stderr


def test_without_the_package_the_type_is_unknown(tmp_path: Path) -> None:
    file = tmp_path / "numbers.yaml"
    file.write_text(DATASET)
    done = run(None, "-c", "import sys" + READ, str(file))
    assert "found 'counter', expected" in done.stderr


def test_one_that_is_broken_leaves_the_others(installed: Path, tmp_path: Path) -> None:
    (installed / "headrace_counter.py").write_text("import no_such_module")
    file = tmp_path / "numbers.yaml"
    file.write_text(DATASET.replace("{type: counter, upto: 12}", "{type: file, path: a.csv}"))
    done = run(
        installed,
        "-c",
        "import sys; from headrace.contract import load; print(load(open(sys.argv[1]).read()).dataset)",
        str(file),
    )
    assert done.stdout.strip() == "my.numbers", done.stderr
    assert "no_such_module" in done.stderr


def test_the_template_passes_its_own_tests(installed: Path) -> None:
    done = run(
        installed, "-m", "pytest", "-q", "-p", "no:randomly", "--rootdir", str(TEMPLATE), str(TEMPLATE / "tests")
    )
    assert done.returncode == 0, done.stdout
