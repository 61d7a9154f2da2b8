"""Where master keys come from, and what is refused before a secret depends on it."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest
from pydantic import SecretBytes, SecretStr

from headrace.errors import Fatal
from headrace.secrets.keys import MasterKeys, loaded, new_key

NEW, OLD = bytes(range(32)), bytes(range(32, 64))


def text(key: bytes) -> str:
    return b64encode(key).decode()


def key_file(folder: Path, content: str, mode: int = 0o600) -> Path:
    file = folder / "master.keys"
    file.write_text(content, encoding="utf-8")
    file.chmod(mode)
    return file


def test_a_single_key_is_named_after_its_hash() -> None:
    keys = loaded(SecretStr(text(NEW)), None)
    assert keys == MasterKeys({sha256(NEW).hexdigest()[:8]: SecretBytes(NEW)})


def test_a_new_key_can_be_loaded_and_is_another_each_time() -> None:
    first, second = (loaded(new_key(), None) for _ in range(2))
    assert first.current != second.current


def test_the_first_line_of_a_file_is_current(tmp_path: Path) -> None:
    content = f"# made in November\n\n2026-11: {text(NEW)}\r\n  2025-11 :{text(OLD)}  \n"
    keys = loaded(None, key_file(tmp_path, content))
    assert keys.current == "2026-11"
    assert keys.keys == {"2026-11": SecretBytes(NEW), "2025-11": SecretBytes(OLD)}


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_alone_is_read(tmp_path: Path, mode: int) -> None:
    assert loaded(None, key_file(tmp_path, f"a: {text(NEW)}", mode)).current == "a"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602, 0o610])
def test_a_file_open_to_others_is_refused_with_the_command_that_closes_it(tmp_path: Path, mode: int) -> None:
    file = key_file(tmp_path, f"a: {text(NEW)}", mode)
    with pytest.raises(Fatal, match=rf"mode {mode:04o}.*`chmod 600 {file}`"):
        loaded(None, file)


def test_it_is_the_file_behind_a_link_that_has_to_be_closed(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(key_file(tmp_path, f"a: {text(NEW)}", 0o644))
    with pytest.raises(Fatal, match="chmod 600"):
        loaded(None, link)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r"HEADRACE_MASTER_KEY_FILE names .*/none, .*No such file"):
        loaded(None, tmp_path / "none")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "there is no master key"),
        ("# none yet\n", "there is no master key"),
        (text(NEW), "line 1 .* id of a key"),
        (f"a: {text(NEW)}\n{text(OLD)}", "line 2 .* id of a key"),
        (f"{text(NEW)}: a", "line 1 .* id of a key"),
        (f"a: {text(NEW)}\na: {text(OLD)}", "line 2 .* id of a line above"),
        (f"a: {text(NEW)}\nb: {text(NEW)}", "a, b are the same"),
        (f"a: {text(NEW[:-1])}", "line 1 .* no key of 256 bits"),
        (f"a: {text(NEW + OLD)}", "line 1 .* no key of 256 bits"),
        (f"a: {text(NEW)[:-1]}", "line 1 .* no key of 256 bits"),
        (f"a: {text(NEW)[:20]}*{text(NEW)[20:]}", "line 1 .* no key of 256 bits"),
        ("a: ключ", "line 1 .* no key of 256 bits"),
    ],
)
def test_a_file_that_is_wrong_says_in_which_line_and_shows_no_key(tmp_path: Path, content: str, complaint: str) -> None:
    with pytest.raises(Fatal, match=complaint) as raised:
        loaded(None, key_file(tmp_path, content))
    assert not any(text(key)[:20] in str(raised.value) for key in (NEW, OLD))


def test_one_of_the_two_settings_is_needed(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="neither of HEADRACE_MASTER_KEY and HEADRACE_MASTER_KEY_FILE"):
        loaded(None, None)
    with pytest.raises(Fatal, match="both of HEADRACE_MASTER_KEY and HEADRACE_MASTER_KEY_FILE"):
        loaded(new_key(), key_file(tmp_path, f"a: {text(NEW)}"))


def test_shorter_keys_that_aes_would_take_are_refused() -> None:
    with pytest.raises(Fatal, match="32 bytes"):
        MasterKeys({"a": SecretBytes(NEW[:16])})
