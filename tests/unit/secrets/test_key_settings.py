"""Which of the ways to a master key the environment chose, and what is said when it chose wrongly."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from headrace.errors import Fatal
from headrace.secrets.keys import MasterKeys, new_key
from headrace.secrets.settings import KeySettings
from headrace.secrets.vault import Transit

KEY = new_key()
URL = "http://127.0.0.1:8200"


def test_nothing_set_is_no_master_key() -> None:
    assert KeySettings().key_wrapping() is None


def test_a_key_or_a_file_of_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.touch(mode=0o600)
    file.write_text(f"2026-11: {KEY.get_secret_value()}\n")
    assert isinstance(KeySettings(master_key=KEY).key_wrapping(), MasterKeys)
    from_file = KeySettings(master_key_file=file).key_wrapping()
    assert from_file is not None
    assert from_file.current == "2026-11"


def test_the_environment_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_MASTER_KEY", KEY.get_secret_value())
    assert KeySettings().key_wrapping() == KeySettings(master_key=KEY).key_wrapping()


def test_vault_is_chosen_by_its_address() -> None:
    assert isinstance(KeySettings(vault_url=URL, vault_token=SecretStr("t")).key_wrapping(), Transit)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"vault_url": URL}, "HEADRACE_VAULT_TOKEN"),
        ({"vault_url": URL, "vault_token": "t", "master_key": KEY}, "set one of them"),
        ({"master_key": KEY, "master_key_file": "/nowhere"}, "set one"),
        ({"master_key_file": "/nowhere"}, "cannot be read"),
        ({"master_key": ""}, "no key of 256 bits"),
    ],
)
def test_a_wrong_choice_is_said(chosen: dict[str, Any], said: str) -> None:
    with pytest.raises(Fatal, match=said) as raised:
        KeySettings.model_validate(chosen).key_wrapping()
    assert KEY.get_secret_value() not in str(raised.value)
