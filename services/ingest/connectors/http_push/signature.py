"""Whether a webhook's request was signed by who has the secret, not long ago."""

import base64
import binascii
import hmac
import re
from collections.abc import Iterator, Mapping
from typing import Final

from services.ingest.connectors.http_push.settings import BODY, TIMESTAMP, Webhook

_SECONDS: Final = re.compile(r"[0-9]{1,12}")


class Unsigned(Exception):
    """Why a request is not believed."""


def verify(webhook: Webhook, headers: Mapping[str, str], body: bytes, secret: bytes, now_s: float) -> None:
    """`body` is the body as it was sent, `headers` are found by any case. Units: Unix seconds. Errors: Unsigned."""
    given = headers.get(webhook.signature_header)
    if given is None:
        raise Unsigned(f"the header {webhook.signature_header} is missing")
    timestamp = _timestamp(webhook, headers)
    expected = hmac.digest(secret, _signed(webhook.signed, timestamp, body), webhook.algorithm)
    matches = [hmac.compare_digest(expected, found) for found in _signatures(webhook, given)]
    if not any(matches):
        raise Unsigned(f"the signature in {webhook.signature_header} is not that of the body")
    if timestamp and abs(now_s - int(timestamp)) > webhook.tolerance_s:
        raise Unsigned(f"it was signed more than {webhook.tolerance_s} s from now: an old request that is sent again?")


def _timestamp(webhook: Webhook, headers: Mapping[str, str]) -> str:
    """The time of sending as it was written; nothing where none is asked for."""
    if webhook.timestamp_header is None:
        return ""
    parts = _parts(headers.get(webhook.timestamp_header, ""), webhook.timestamp_prefix)
    found = next(parts, "")
    if not _SECONDS.fullmatch(found):
        raise Unsigned(f"{webhook.timestamp_header} has no time in Unix seconds")
    return found


def _signed(template: str, timestamp: str, body: bytes) -> bytes:
    before, _, after = template.replace(TIMESTAMP, timestamp).partition(BODY)
    return before.encode() + body + after.encode()


def _signatures(webhook: Webhook, header: str) -> Iterator[bytes]:
    """The signatures of a header that can be read: a sender that is changing its secret sends two."""
    for text in _parts(header, webhook.prefix):
        try:
            yield bytes.fromhex(text) if webhook.encoding == "hex" else base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            continue


def _parts(header: str, prefix: str) -> Iterator[str]:
    for part in header.split(","):
        if part.strip().startswith(prefix):
            yield part.strip().removeprefix(prefix)
