"""How ClickHouse's HTTP protocol spells things: who asks, with which settings and encoding, and what goes back."""

import base64
import binascii
import hmac
import secrets
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import lz4.frame  # type: ignore[import-untyped]
import zstandard

from deploy.local.warehouse.errors import EngineError, exception
from deploy.local.warehouse.settings import WarehouseSettings

Role = Literal["writer", "reader"]

_NOT_SETTINGS = frozenset(
    {
        *("query", "query_id", "database", "default_format", "user", "password", "role", "quota_key", "stacktrace"),
        *("session_id", "session_timeout", "session_check", "client_protocol_version", "buffer_size"),
        *("compress", "decompress", "enable_http_compression", "http_zlib_compression_level", "wait_end_of_query"),
        *("send_progress_in_http_headers", "http_headers_progress_interval_ms"),
    }
)
_MEDIA_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
}


def settings_of(params: Mapping[str, str]) -> dict[str, str]:
    """The parameters of the URL that are settings or query parameters of the statement."""
    return {name: value for name, value in params.items() if name not in _NOT_SETTINGS}


def media_type(output: str | None) -> str:
    return _MEDIA_TYPES.get(output or "TSV", "application/octet-stream")


def role_of(params: Mapping[str, str], headers: Mapping[str, str], settings: WarehouseSettings) -> Role:
    """Which of the two users asks. Raises ClickHouse's AUTHENTICATION_FAILED for anybody else."""
    user = headers.get("x-clickhouse-user") or params.get("user") or "default"
    password = headers.get("x-clickhouse-key") or params.get("password") or ""
    if (basic := headers.get("authorization", "")).lower().startswith("basic "):
        user, password = _basic(basic[6:])
    known: dict[str, tuple[Role, str]] = {
        settings.user: ("writer", settings.password.get_secret_value()),
        settings.reader_user: ("reader", settings.reader_password.get_secret_value()),
    }
    if user in known and hmac.compare_digest(known[user][1].encode(), password.encode()):
        return known[user][0]
    raise exception(
        516,
        "AUTHENTICATION_FAILED",
        f"{user}: Authentication failed: password is incorrect, or there is no user with such name.",
    )


def _basic(credentials: str) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise exception(516, "AUTHENTICATION_FAILED", "Invalid HTTP basic authentication.") from None
    return user, password


def inflater(encoding: str | None) -> Callable[[bytes], bytes]:
    """A function that decompresses a body piece by piece; a body may be several compressed frames in a row."""
    makers: dict[str, Callable[[], Any]] = {
        "lz4": lz4.frame.LZ4FrameDecompressor,
        "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
        "gzip": lambda: zlib.decompressobj(31),
        "deflate": lambda: zlib.decompressobj(15),
    }
    if encoding in (None, "", "identity"):
        return bytes
    if encoding not in makers:
        raise exception(
            48, "NOT_IMPLEMENTED", f"Content-Encoding {encoding} is not known: send lz4, zstd, gzip or none."
        )
    frame = makers[encoding]()

    def inflate(piece: bytes) -> bytes:
        nonlocal frame
        parts = []
        while piece:
            if frame.eof:
                frame = makers[encoding]()
            try:
                parts.append(frame.decompress(piece))
            except (RuntimeError, zstandard.ZstdError, zlib.error) as error:
                raise exception(271, "CANNOT_DECOMPRESS", f"The body is not {encoding}: {error}") from error
            piece = frame.unused_data if frame.eof else b""
        return b"".join(parts)

    return inflate


@dataclass
class Envelope:
    """The headers of one answer. `tag` marks an exception that comes after part of a result was sent."""

    query_id: str
    timezone: str
    tag: str = field(default_factory=lambda: secrets.token_hex(8))

    def headers(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            "X-ClickHouse-Query-Id": self.query_id,
            "X-ClickHouse-Timezone": self.timezone,
            "X-ClickHouse-Server-Display-Name": "headrace-warehouse",
            "X-ClickHouse-Exception-Tag": self.tag,
            **(extra or {}),
        }

    def late_exception(self, error: EngineError) -> bytes:
        """What is appended to a half-sent result, so that the client sees a failure and not a short answer."""
        text = f"{error.text}\n".encode()
        mark = b"\r\n__exception__\r\n"
        return mark + self.tag.encode() + b"\r\n" + text + f"{len(text)} {self.tag}".encode() + mark
