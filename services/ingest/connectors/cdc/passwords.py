"""Hands a password to Kafka Connect without it being in a configuration: a file that only the worker and ingest can read."""

import os
from pathlib import Path

from pydantic import SecretStr

from headrace.errors import Fatal


def leave(folder: Path, name: str, password: SecretStr) -> bool:
    """Write a password where the worker reads it. Returns whether another one, or none, was there.

    Errors: Fatal when the folder cannot be written to.
    """
    file, value = folder / name, password.get_secret_value().encode()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if file.exists() and file.read_bytes() == value:
            return False
        partial = folder / f".{name}.partial"
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
            written.write(value)
        partial.rename(file)
    except OSError as error:
        raise Fatal(
            f"the password for Kafka Connect cannot be left in {folder}: {error.strerror}; "
            "set HEADRACE_CONNECT_SECRETS to a folder that ingest can write and the worker can read"
        ) from error
    return True


def take_back(folder: Path, name: str) -> None:
    """Delete a password that was left."""
    (folder / name).unlink(missing_ok=True)
