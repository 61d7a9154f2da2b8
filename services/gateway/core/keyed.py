"""Decides what is kept of a secret, or of what only has to be recognised: its keyed hash, another one for each purpose."""

import hmac
from hashlib import sha256


def keyed_hash(key: bytes, purpose: str, *values: str) -> bytes:
    """The hash under a key. None of one purpose is worth anything for another, nor as that of a bearer token.

    Shapes: 32 bytes.
    """
    said = "\0".join((purpose, *values))
    return hmac.digest(key, said.encode("utf-8", "backslashreplace"), sha256)
