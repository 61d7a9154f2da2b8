"""AES-256-GCM over one message: the nonce stands before the ciphertext, and the context is bound but not stored."""

from secrets import token_bytes
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from headrace.errors import Fatal

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12


def encrypted(key: bytes, plain: bytes, context: bytes) -> bytes:
    """The nonce, the ciphertext and its tag, 28 bytes more than `plain`.

    The nonce is random, so one key is good for 2^32 messages. Source: NIST SP 800-38D, section 8.3.
    """
    nonce = token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, context)


def decrypted(key: bytes, message: bytes, context: bytes) -> bytes:
    """What was encrypted under this key and in this context. Errors: Fatal when it was not, or was changed since."""
    try:
        return AESGCM(key).decrypt(message[:NONCE_BYTES], message[NONCE_BYTES:], context)
    except (InvalidTag, ValueError):  # the latter for less than a nonce
        raise Fatal("it was changed, or it was sealed as another name or version or under another key") from None
