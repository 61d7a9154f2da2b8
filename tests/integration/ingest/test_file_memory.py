"""A large file is read in bounded memory. Beside it, what reading it as a whole would take."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

ROWS = 2_000_000  # about 180 MB
BOUND = 110 << 20  # beyond what the process takes for a small file

MOST = """
def most():
    # Not ru_maxrss: it begins with what the parent had when it forked.
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
"""

READ = """
import sys
from pathlib import Path
from headrace.connector import Surroundings, opened
from services.ingest.connectors.file.settings import FileSource
folder, name = sys.argv[1:]
source = opened(FileSource(type="file", path=name), Surroundings("a.b", folder=Path(folder), settle_s=0.0))
rows = sum(fetched.rows.num_rows for fetched, _ in source.read(None))
print(rows, most())
"""

READ_WHOLE = """
import gzip, sys
from pathlib import Path
import services.ingest.connectors.file.connector
file = Path(sys.argv[1]) / sys.argv[2]
content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
print(content.count(b"\\n"), most())
"""


def lines(rows: int) -> Iterator[bytes]:
    random = Random(1)
    for number in range(rows):
        yield b"%d,%064x,%d\n" % (number, random.getrandbits(256), random.getrandbits(40))


def objects(rows: int) -> Iterator[bytes]:
    for number, line in enumerate(lines(rows)):
        at, name, value = line.rstrip().split(b",")
        yield b'%s{"id":%s,"n":"%s","v":%s}' % (b",\n" if number else b"", at, name, value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("large")
    for name, rows in (("small", 1000), ("large", ROWS)):
        with gzip.open(made / f"{name}.csv.gz", "wb", compresslevel=1) as out:
            out.write(b"id,n,v\n")
            out.writelines(lines(rows))
        with (made / f"{name}.json").open("wb") as out:
            out.write(b"[")
            out.writelines(objects(rows))
            out.write(b"]\n")
    return made


def peak(script: str, folder: Path, name: str) -> tuple[int, int]:
    """What a process that runs a script prints: rows, and the most memory it had, in bytes."""
    ended = subprocess.run(
        [sys.executable, "-c", MOST + script, str(folder), name], capture_output=True, text=True, check=True
    )
    rows, most = json.loads(f"[{ended.stdout.replace(' ', ',')}]")
    return rows, most


@pytest.mark.parametrize("ending", ["csv.gz", "json"])
def test_a_large_file_takes_little_more_memory_than_a_small_one(folder: Path, ending: str) -> None:
    _, small = peak(READ, folder, f"small.{ending}")
    rows, large = peak(READ, folder, f"large.{ending}")
    print(f"{ending}: {small >> 20} MB for a small file, {large >> 20} MB for a large one")  # noqa: T201
    assert rows == ROWS
    assert large - small < BOUND


@pytest.mark.parametrize("ending", ["csv.gz", "json"])
def test_the_control_as_a_whole_it_would_take_more(folder: Path, ending: str) -> None:
    _, small = peak(READ_WHOLE, folder, f"small.{ending}")
    _, large = peak(READ_WHOLE, folder, f"large.{ending}")
    assert large - small > 1.3 * BOUND
