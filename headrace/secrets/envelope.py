"""How a secret is sealed: under a data key of its own, which is itself wrapped under a master key.

Both layers are bound to the name and the version, and the wrapped key to the id of its master key. So is the payload,
through its data key, which lets `rewrap` leave it as it is. What a record does not hide is the length of its secret, and
whoever can write the records can bring back an older one: the version only tells which it is.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from secrets import token_bytes
from typing import Any, Final

from pydantic import SecretBytes, SecretStr

from headrace.errors import Fatal
from headrace.secrets.cipher import KEY_BYTES, decrypted, encrypted
from headrace.secrets.keys import KEY_ID, KeyWrapping
from headrace.secrets.reference import NAME

FORMAT: Final = "headrace.secret/1"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed secret, safe to store where others read. Versions count from 1. Errors: Fatal when a field is malformed."""

    name: str
    version: int
    key_id: str
    wrapped_key: bytes = field(repr=False)
    payload: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise Fatal("a secret's name begins with a lower case letter, then come at most 127 of a-z 0-9 _ . -")
        if type(self.version) is not int or self.version < 1:
            raise Fatal(f"the secret {self.name} has no version that counts from 1")
        if not KEY_ID.fullmatch(self.key_id):
            raise Fatal(f"the secret {self.name} does not say which master key it is sealed under")

    def to_dict(self) -> dict[str, str | int]:
        """The record as JSON and Avro have it: bytes are base64 text."""
        return {
            "name": self.name,
            "version": self.version,
            "key_id": self.key_id,
            "wrapped_key": b64encode(self.wrapped_key).decode(),
            "payload": b64encode(self.payload).decode(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Sealed":
        """The inverse of `to_dict`. Errors: Fatal when a field is missing or malformed."""
        try:
            return cls(
                record["name"],
                record["version"],
                record["key_id"],
                b64decode(record["wrapped_key"], validate=True),
                b64decode(record["payload"], validate=True),
            )
        except KeyError as error:
            raise Fatal(f"the record of a secret has no {error}") from None
        except (TypeError, ValueError):
            raise Fatal("the record of a secret has a field of the wrong type, or bytes that are not base64") from None


def seal(keys: KeyWrapping, name: str, version: int, plain: bytes) -> Sealed:
    """The secret under a new data key, which the current master key wraps. Errors: Transient, Fatal."""
    data_key, key_id = token_bytes(KEY_BYTES), keys.current
    return Sealed(
        name,
        version,
        key_id,
        keys.wrap(key_id, data_key, _context("key", name, version, key_id)),
        encrypted(data_key, plain, _context("payload", name, version)),
    )


def opened(keys: KeyWrapping, name: str, sealed: Sealed) -> SecretBytes:
    """The secret of that name. Errors: Transient; Fatal when the record is not of that name, or does not open."""
    if sealed.name != name:
        raise Fatal(
            f"the record found for the secret {name} is that of {sealed.name}; set it again with `headrace secret set {name}`"
        )
    payload_context = _context("payload", sealed.name, sealed.version)
    try:
        return SecretBytes(decrypted(_data_key(keys, sealed), sealed.payload, payload_context))
    except Fatal as error:
        raise _unopened(sealed, error) from None


def opened_text(keys: KeyWrapping, name: str, sealed: Sealed) -> SecretStr:
    """As `opened`, for a secret that is text. Errors: also Fatal when it is not UTF-8."""
    plain = opened(keys, name, sealed).get_secret_value()
    try:
        return SecretStr(plain.decode())
    except UnicodeDecodeError:
        pass  # it holds the plain bytes, so nothing may be raised while it is handled
    raise Fatal(f"the secret {name} is not text in UTF-8; set it again with `headrace secret set {name}`")


def rewrap(keys: KeyWrapping, sealed: Sealed) -> Sealed:
    """The same secret under the current master key, its payload as it was; the record itself when it is already.

    Errors: Transient; Fatal when the data key does not open.
    """
    if sealed.key_id == (current := keys.current):
        return sealed
    try:
        data_key = _data_key(keys, sealed)
    except Fatal as error:
        raise _unopened(sealed, error) from None
    wrapped = keys.wrap(current, data_key, _context("key", sealed.name, sealed.version, current))
    return replace(sealed, key_id=current, wrapped_key=wrapped)


def _data_key(keys: KeyWrapping, sealed: Sealed) -> bytes:
    context = _context("key", sealed.name, sealed.version, sealed.key_id)
    return keys.unwrap(sealed.key_id, sealed.wrapped_key, context)


def _context(layer: str, *bound: str | int) -> bytes:
    """The associated data of a layer. JSON, because there no two lists of values are written alike."""
    return json.dumps([FORMAT, layer, *bound]).encode()


def _unopened(sealed: Sealed, error: Fatal) -> Fatal:
    return Fatal(f"the secret {sealed.name}, version {sealed.version}, cannot be opened: {error}")
