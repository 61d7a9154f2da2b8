"""Who we measure ourselves beside. A peer in Python runs in an environment of its own, which uv makes."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
_OF_DLT: Final = [
    "dlt[sql_database,parquet,filesystem]==1.31.0",
    "psycopg2-binary",
    "connectorx==0.4.6",
]


def alone(script: str, packages: Sequence[str]) -> list[str]:
    """The command that runs a script of this folder with these packages and no others."""
    uv = shutil.which("uv") or str(_HERE.parents[1] / ".tools" / "bin" / "uv")
    wanted = [part for package in packages for part in ("--with", package)]
    run = [uv, "run", "--quiet", "--isolated", "--no-project", "--python", sys.executable, *wanted]
    return [*run, "python", str(_HERE / script)]


def dlt(what: str, where: str, rows: int, variant: str) -> list[str]:
    """The command that has dlt load `rows` rows from a table (`sql`) or an API (`rest`), and print its rows a second."""
    return [*alone("dlt_load.py", _OF_DLT), what, where, str(rows), variant]
