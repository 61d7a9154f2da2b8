"""A new source, from nothing to rows in the warehouse, with nothing but the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import adbc_driver_postgresql.dbapi

from tests.stack import Platform

SCRIPT = Path(__file__).parents[2] / "examples" / "postgres" / "onboard.sh"
ROWS = 20_000


def test_a_table_is_onboarded_by_a_script(platform: Platform, postgres_url: str, tmp_path: Path) -> None:
    with (
        adbc_driver_postgresql.dbapi.connect(postgres_url, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "CREATE TABLE onboarded (id bigint PRIMARY KEY, mail text, total numeric(12,2), updated_at timestamptz)"
        )
        cursor.execute(
            "INSERT INTO onboarded SELECT n, 'c' || n || '@example.org', n / 7.0, '2026-01-01'::timestamptz + n * interval '1 s' "
            f"FROM generate_series(1, {ROWS}) AS n"
        )
    at = urlsplit(postgres_url)
    told = {
        f"HEADRACE_STACK_{name.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
        for name, value in platform.stack.settings.model_dump().items()
    }
    database = {
        "DB_HOST": "127.0.0.1",
        "DB_PORT": str(at.port),
        "DB_NAME": at.path.removeprefix("/"),
        "DB_USER": at.username or "",
        "DB_PASSWORD": "not-asked-for",
        "DB_TABLE": "onboarded",
        "DB_KEY": "id",
        "DB_CURSOR": "updated_at",
        "DATASET": "e2e_shop.onboarded",
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(SCRIPT)],
        env={**os.environ, **told, **database, "PATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [[rows, total]] = platform.client.query("SELECT count(), sum(total) FROM e2e_shop.onboarded").rows
    expected = sum(round(number / 7 * 100) for number in range(1, ROWS + 1)) / 100
    assert (int(rows), float(str(total))) == (ROWS, expected)
    assert platform.client.datasets.ledger("e2e_shop.onboarded").residue == 0
    assert "classification: confidential" in (tmp_path / "onboarded.yaml").read_text(), "the mail address was noticed"
