"""Which master keys there are, and which of them seals: the first. The others only open what was sealed before."""

import os
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_bytes
from shlex import quote
from stat import S_IMODE
from typing import Final, Protocol

from pydantic import SecretBytes, SecretStr

from headrace.errors import Fatal
from headrace.secrets.cipher import KEY_BYTES, decrypted, encrypted

KEY_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
OTHERS: Final = 0o077
"""The permissions of everyone but a file's owner."""


class KeyWrapping(Protocol):
    """Whoever holds the master keys, in this process or in a service: it wraps data keys and never gives its own away."""

    @property
    def current(self) -> str:
        """The id of the master key that seals from now on."""
        ...

    def wrap(self, key_id: str, data_key: bytes, context: bytes) -> bytes:
        """The data key, encrypted under a master key and bound to the context. Errors: Transient, Fatal."""
        ...

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """The data key again. Errors: Transient; Fatal when that key is not there, or did not wrap this in this context."""
        ...


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """Master keys of 256 bits by id, the current one first. Errors: Fatal when there is none, or two are the same."""

    keys: Mapping[str, SecretBytes]

    def __post_init__(self) -> None:
        if not self.keys:
            raise Fatal("there is no master key: make one with `openssl rand -base64 32`")
        if any(len(key) != KEY_BYTES for key in self.keys.values()):
            raise Fatal(f"every master key has to have {KEY_BYTES} bytes")
        if len(set(self.keys.values())) < len(self.keys):
            raise Fatal(f"two of the master keys {', '.join(self.keys)} are the same: each id needs a key of its own")

    @property
    def current(self) -> str:
        """The id of the first key."""
        return next(iter(self.keys))

    def wrap(self, key_id: str, data_key: bytes, context: bytes) -> bytes:
        """The data key, encrypted under a master key and bound to the context. Errors: Fatal when there is no such key."""
        return encrypted(self._key(key_id), data_key, context)

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """The data key again. Errors: Fatal when there is no such key, or it did not wrap this in this context."""
        return decrypted(self._key(key_id), wrapped, context)

    def _key(self, key_id: str) -> bytes:
        if key_id not in self.keys:
            known = ", ".join(self.keys)
            raise Fatal(
                f"there is no master key {key_id}, only {known}: add it again, below the first line of the file "
                "that HEADRACE_MASTER_KEY_FILE names"
            )
        return self.keys[key_id].get_secret_value()


def new_key() -> SecretStr:
    """A new random master key of 256 bits as base64 text, to stand in HEADRACE_MASTER_KEY or in a line of the key file."""
    return SecretStr(b64encode(token_bytes(KEY_BYTES)).decode())


def loaded(key: SecretStr | None, file: Path | None) -> MasterKeys:
    """The master keys of the settings HEADRACE_MASTER_KEY and HEADRACE_MASTER_KEY_FILE, of which one is to be given.

    A single key has the first 8 hexadecimal digits of its SHA-256 for an id; a file has a line `id: base64` for each
    key, and may have empty lines and lines that begin with `#`.
    Errors: Fatal, which says what to correct and never shows what was read.
    """
    if key is not None and file is None:
        return _single(_decoded(key.get_secret_value(), "HEADRACE_MASTER_KEY"))
    if file is not None and key is None:
        return MasterKeys(_listed(_read(file), file))
    both = "neither" if key is None else "both"
    raise Fatal(
        f"{both} of HEADRACE_MASTER_KEY and HEADRACE_MASTER_KEY_FILE are set: set one, the first to a key from "
        "`openssl rand -base64 32` or the second to a file with lines `id: key`, the current key first"
    )


def _single(key: SecretBytes) -> MasterKeys:
    return MasterKeys({sha256(key.get_secret_value()).hexdigest()[:8]: key})


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            mode = S_IMODE(os.fstat(opened.fileno()).st_mode)  # of what is read, whatever the path names by now
            if mode & OTHERS:
                raise Fatal(
                    f"the master keys in {file} are open to others than its owner (mode {mode:04o}): "
                    f"run `chmod 600 {quote(str(file))}`, and replace the keys if anybody may have read them"
                )
            return opened.read().decode("ascii", errors="replace")
    except OSError as error:
        raise Fatal(f"HEADRACE_MASTER_KEY_FILE names {file}, which cannot be read: {error.strerror}") from error


def _listed(text: str, file: Path) -> dict[str, SecretBytes]:
    keys: dict[str, SecretBytes] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key_id, colon, key = (part.strip() for part in line.partition(":"))
        place = f"line {number} of {file}"
        if not colon or not KEY_ID.fullmatch(key_id):
            raise Fatal(f"{place} does not begin with the id of a key and a colon, such as `2026-11: `")
        if key_id in keys:
            raise Fatal(f"{place} has the id of a line above it: give each key an id of its own")
        keys[key_id] = _decoded(key, place)
    return keys


def _decoded(text: str, place: str) -> SecretBytes:
    try:
        key = b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise Fatal(
            f"{place} has no key of 256 bits in base64 (44 characters): make one with `openssl rand -base64 32`"
        )
    return SecretBytes(key)
