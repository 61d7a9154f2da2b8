"""Secrets are made once, are different from one another, and nobody else on the machine can read them."""

import json
import stat
from pathlib import Path

from deploy.local.credentials import Credentials, ensure, master_keys, read
from headrace.secrets.keys import loaded, new_key


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
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert files == {"secrets.json": 0o600, "master.keys": 0o600}


def test_all_different_and_not_shown(tmp_path: Path) -> None:
    made = ensure(tmp_path)
    values = {getattr(made, name).get_secret_value() for name in Credentials.model_fields}
    assert len(values) == len(Credentials.model_fields)
    assert not any(value in repr(made) for value in values)


def test_a_master_key_is_made_once_and_left_to_people_after_that(tmp_path: Path) -> None:
    ensure(tmp_path)
    first = loaded(None, master_keys(tmp_path))
    ensure(tmp_path)
    assert loaded(None, master_keys(tmp_path)) == first
    lines = master_keys(tmp_path).read_text()
    master_keys(tmp_path).write_text(f"second: {new_key().get_secret_value()}\n{lines}")
    ensure(tmp_path)
    assert list(loaded(None, master_keys(tmp_path)).keys) == ["second", first.current]


def test_a_lost_master_key_is_not_taken_for_the_next(tmp_path: Path) -> None:
    """What was sealed under the first names it: the message says which key is missing."""
    ensure(tmp_path)
    first = loaded(None, master_keys(tmp_path))
    master_keys(tmp_path).unlink()
    ensure(tmp_path)
    assert loaded(None, master_keys(tmp_path)).current != first.current
