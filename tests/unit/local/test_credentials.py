"""Secrets are made once, are different from one another, and nobody else on the machine can read them."""

import json
import stat
from pathlib import Path

from deploy.local.credentials import Credentials, ensure, read


def test_made_once(tmp_path: Path) -> None:
    home = tmp_path / "new"
    assert read(home) is None
    made = ensure(home)
    assert ensure(home) == read(home) == made


def test_a_secret_that_is_new_in_this_version_is_added(tmp_path: Path) -> None:
    made = ensure(tmp_path)
    file = tmp_path / "secrets.json"
    known = json.loads(file.read_text())
    del known["push_token"]
    file.write_text(json.dumps(known))
    again = ensure(tmp_path)
    assert again.admin_token == made.admin_token
    assert again.push_token != made.push_token


def test_only_the_owner_can_read_them(tmp_path: Path) -> None:
    ensure(tmp_path)
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secrets.json"]


def test_all_different_and_not_shown(tmp_path: Path) -> None:
    made = ensure(tmp_path)
    values = {getattr(made, name).get_secret_value() for name in Credentials.model_fields}
    assert len(values) == len(Credentials.model_fields)
    assert not any(value in repr(made) for value in values)
