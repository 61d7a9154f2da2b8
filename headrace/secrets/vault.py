"""A master key in HashiCorp Vault's Transit engine: Vault wraps and unwraps data keys, and the key never leaves it.

The id of a master key is that of a version of Vault's key, such as `headrace.v3`: rotating it in Vault makes the next version
the current one. What a data key is bound to is a hash inside what Vault encrypts, which every Vault can do.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Final

import hvac
import requests
from hvac.exceptions import BadGateway, InternalServerError, RateLimitExceeded, VaultDown, VaultError
from pydantic import SecretStr

from headrace.errors import Fatal, Transient

_REPLY_S: Final = 10
_PASSES: Final = (BadGateway, InternalServerError, RateLimitExceeded, VaultDown)


class Transit:
    """See `headrace.secrets.keys.KeyWrapping`. Each call asks Vault. Safe to share between threads."""

    def __init__(self, url: str, token: SecretStr, mount: str, key: str) -> None:
        self._url, self._token, self._mount, self._key = url, token, mount, key

    @property
    def current(self) -> str:
        """The id of the newest version of the key. Errors: Transient, Fatal."""
        with self._asking("read") as vault:
            found = _data(vault.read(f"{self._mount}/keys/{self._key}"))
            return f"{self._key}.v{int(found['latest_version'])}"

    def wrap(self, key_id: str, data_key: bytes, context: bytes) -> bytes:
        """The data key, encrypted by Vault and bound to the context. Errors: Transient, Fatal."""
        bound = {"plaintext": b64encode(sha256(context).digest() + data_key).decode()}
        with self._asking("encrypt with") as vault:
            path = f"{self._mount}/encrypt/{self._key}"
            found = _data(vault.write_data(path, data={**bound, "key_version": self._version(key_id)}))
            return str(found["ciphertext"]).encode("ascii")

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """The data key again. Errors: Transient; Fatal when Vault cannot decrypt it, or it was bound to something else."""
        self._version(key_id)
        with self._asking("decrypt with") as vault:
            asked = {"ciphertext": wrapped.decode("ascii", errors="replace")}
            found = _data(vault.write_data(f"{self._mount}/decrypt/{self._key}", data=asked))
            plain = b64decode(found["plaintext"])
        digest = sha256(context).digest()
        if not hmac.compare_digest(plain[: len(digest)], digest):
            raise Fatal("its key was wrapped for another name or version")
        return plain[len(digest) :]

    def _version(self, key_id: str) -> int:
        name, _, version = key_id.rpartition(".v")
        if name != self._key or not version.isdecimal():
            raise Fatal(f"it is sealed under the master key {key_id}, and Vault's is {self._key}: set the secret anew")
        return int(version)

    @contextmanager
    def _asking(self, doing: str) -> Iterator[hvac.Client]:
        """A client, whose errors become the project's. What Vault says is in them, never what it was sent."""
        said = f"cannot {doing} the key {self._mount}/{self._key} of Vault at {self._url}"
        try:
            yield hvac.Client(self._url, self._token.get_secret_value(), timeout=_REPLY_S)
            return
        except _PASSES as error:
            failure: Transient | Fatal = Transient(f"{said}: {error}")
        except requests.RequestException as error:
            failure = Transient(f"{said}: it does not answer ({type(error).__name__})")
        except VaultError as error:
            failure = Fatal(f"{said}: {error}; correct HEADRACE_VAULT_*, or what Vault allows this token")
        except (KeyError, TypeError, ValueError):
            failure = Fatal(
                f"{said}: its answer is not one of the Transit engine; correct HEADRACE_VAULT_MOUNT or _KEY"
            )
        raise failure from None


def _data(answer: Any) -> Mapping[str, Any]:
    """What Vault answered. Errors: TypeError when that is nothing."""
    found: Mapping[str, Any] = answer["data"]
    return found
