"""Secrets and keys are in no text that Headrace makes of its objects, errors and logs."""

import logging
from base64 import b64encode
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pydantic import SecretBytes, SecretStr

from headrace.errors import Fatal
from headrace.secrets.envelope import Sealed, opened, opened_text, rewrap, seal
from headrace.secrets.keys import MasterKeys, loaded, new_key
from headrace.secrets.reference import resolved

KEY = b"0123456789abcdef0123456789ABCDEF"
OTHER = b"FEDCBA9876543210fedcba9876543210"
PLAIN = b"hunter2-hunter2"
KEYS = MasterKeys({"a": SecretBytes(KEY), "b": SecretBytes(OTHER)})
SEALED = seal(KEYS, "lake.password", 1, PLAIN)
NOT_TEXT = seal(KEYS, "lake.password", 1, PLAIN + b"\xff")
HIDDEN = tuple(
    form for secret in (KEY, OTHER, PLAIN) for form in (secret.decode(), b64encode(secret).decode(), secret.hex())
)


HOLDERS: dict[str, object] = {
    "master keys": KEYS,
    "loaded": loaded(SecretStr(b64encode(KEY).decode()), None),
    "sealed": SEALED,
    "opened": opened(KEYS, "lake.password", SEALED),
    "opened text": opened_text(KEYS, "lake.password", SEALED),
}


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS.keys())
def test_no_object_shows_what_it_holds(holder: object) -> None:
    assert hidden_in(f"{holder} {holder!r} {[holder]}") == []


def test_no_object_shows_what_it_holds_when_it_is_taken_apart() -> None:
    assert hidden_in(f"{asdict(KEYS)} {asdict(SEALED)} {SEALED.to_dict()}") == []


def test_a_new_key_does_not_show() -> None:
    key = new_key()
    assert key.get_secret_value() not in f"{key} {key!r}"


def unclosed(folder: Path) -> Path:
    file = folder / "keys"
    file.write_bytes(b"a: " + b64encode(KEY))
    file.chmod(0o644)
    return file


def malformed(folder: Path, content: bytes) -> Path:
    file = folder / "keys"
    file.touch(mode=0o600)
    file.write_bytes(content)
    return file


FAILURES: dict[str, Callable[[Path], object]] = {
    "another name": lambda _: opened(KEYS, "other", SEALED),
    "another version": lambda _: opened(KEYS, "lake.password", replace(SEALED, version=2)),
    "another key": lambda _: opened(MasterKeys({"a": SecretBytes(OTHER)}), "lake.password", SEALED),
    "no such key": lambda _: opened(KEYS, "lake.password", replace(SEALED, key_id="c")),
    "a payload that was cut": lambda _: opened(KEYS, "lake.password", replace(SEALED, payload=b"")),
    "rewrapped after a change": lambda _: rewrap(KEYS, replace(SEALED, key_id="b")),
    "no text": lambda _: opened_text(KEYS, "lake.password", NOT_TEXT),
    "a secret in place of the name": lambda _: seal(KEYS, PLAIN.decode().upper(), 1, b""),
    "a secret in place of the record": lambda _: Sealed.from_dict(
        {**SEALED.to_dict(), "payload": f"*{PLAIN.decode()}"}
    ),
    "a secret in place of the reference": lambda _: resolved(PLAIN.decode(), lambda _: SecretStr("")),
    "a key that is not base64": lambda _: loaded(SecretStr(f"*{KEY.decode()}"), None),
    "a key that is too short": lambda _: loaded(SecretStr(b64encode(KEY[:31]).decode()), None),
    "a key file that is open": lambda folder: loaded(None, unclosed(folder)),
    "a key file without ids": lambda folder: loaded(None, malformed(folder, b64encode(KEY))),
    "a key file of raw bytes": lambda folder: loaded(None, malformed(folder, b"a: \xff" + KEY)),
    "a key twice": lambda _: MasterKeys({"a": SecretBytes(KEY), "b": SecretBytes(KEY)}),
}


@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES.keys())
def test_no_error_shows_a_secret_nor_do_those_behind_it(
    fail: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(Fatal) as raised:
        fail(tmp_path)
    error: BaseException | None = raised.value
    while error is not None:
        assert hidden_in(f"{error} {error!r} {vars(error)} {error.args}") == []
        error = error.__cause__ or error.__context__
    assert hidden_in(caplog.text) == []


def test_the_control_a_secret_in_an_error_behind_would_be_found() -> None:
    with pytest.raises(UnicodeDecodeError) as raised:
        opened(KEYS, "lake.password", NOT_TEXT).get_secret_value().decode()
    assert hidden_in(repr(raised.value)) == [PLAIN.decode()]


def hidden_in(text: str) -> list[str]:
    """What must not show in a text and does: secrets and keys, plain, in base64 or in hexadecimal."""
    return [form for form in HIDDEN if form.lower() in text.lower()]
