"""The functions that keep personal data out of the published table, as macros of DuckDB.

`keyed_hash` is HMAC-SHA-256 (RFC 2104) of a value's text under the key of the dataset, so that whoever lacks the key cannot hash
each likely value and compare. `tokenise` is the same under a key of the dataset's own, shorter and marked as a token. The keys
stand in the macros, never in a dataset's SQL, which is shown in errors; and those are temporary, never in a file of DuckDB.
"""

import hmac
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from pydantic import SecretStr

from headrace.contract.functions import KEYED_HASH, MASK, TOKENISE
from headrace.errors import Fatal

#: The fewest characters of a key: fewer could be guessed.
KEY_CHARACTERS: Final = 32
#: What tests of transforms hash with, which run where no secret is.
TEST_KEY: Final = SecretStr("the key of tests of transforms: no secret")
_TOKEN_DIGITS: Final = 32  # 128 bits: among 10^12 values of a dataset two share a token with a chance of 1 in 10^14
_BLOCK_BYTES: Final = 64

_MASK: Final = f"""CREATE OR REPLACE TEMP MACRO {MASK} AS CASE
  WHEN greatest(first, 0)::HUGEINT + greatest(last, 0) >= length(value::VARCHAR) THEN repeat('*', length(value::VARCHAR))
  ELSE left(value::VARCHAR, greatest(first, 0))
    || repeat('*', length(value::VARCHAR) - greatest(first, 0) - greatest(last, 0))
    || right(value::VARCHAR, greatest(last, 0)) END"""


def functions(dataset: str, key: SecretStr | None) -> list[str]:
    """The statements that define them. Without a key there are none that need one. Errors: Fatal when the key is too short."""
    return [_MASK, *(_keyed(dataset, key) if key is not None else ())]


def _keyed(dataset: str, key: SecretStr) -> Iterator[str]:
    text = key.get_secret_value()
    if len(text) < KEY_CHARACTERS:
        raise Fatal(
            f"the secret that transform.hash_key of {dataset} names has {len(text)} characters, and with fewer than "
            f"{KEY_CHARACTERS} it could be guessed: set one that `openssl rand -base64 32` makes, with `headrace secret set`"
        )
    # By another hash than `keyed_hash`: what that gives of a text that somebody sends is no key.
    own = hmac.digest(text.encode(), f"headrace tokens of {dataset}".encode(), "sha512")
    yield f"CREATE OR REPLACE TEMP MACRO {KEYED_HASH} AS {_hmac('value', text.encode())}"
    yield f"CREATE OR REPLACE TEMP MACRO {TOKENISE} AS 'tok_' || left({_hmac('value', own)}, {_TOKEN_DIGITS})"


def _hmac(value: str, key: bytes) -> str:
    """An expression for HMAC-SHA-256 of a value's text, in hexadecimal digits."""
    block = (sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(_BLOCK_BYTES, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block).hex() for pad in (0x36, 0x5C))
    return f"sha256(unhex('{outer}') || unhex(sha256(unhex('{inner}') || encode({value}::VARCHAR))))"
