"""Bodies may come compressed, in pieces cut anywhere; passwords are compared for the right user."""

import base64
import gzip
import zlib
from pathlib import Path

import lz4.frame  # type: ignore[import-untyped]
import pytest
import zstandard
from pydantic import SecretStr

from deploy.local.warehouse.errors import EngineError, exception
from deploy.local.warehouse.protocol import inflater, role_of, settings_of
from deploy.local.warehouse.settings import WarehouseSettings

SETTINGS = WarehouseSettings(
    path=Path("unused"), port=8123, password=SecretStr("w"), reader_password=SecretStr("r"), memory_mb=400, fsync=True
)
BODY = b"some rows, " * 1000
COMPRESSED = {
    "lz4": lz4.frame.compress(BODY) + lz4.frame.compress(b"more"),
    "zstd": zstandard.compress(BODY) + zstandard.compress(b"more"),
    "gzip": gzip.compress(BODY) + gzip.compress(b"more"),
    "deflate": zlib.compress(BODY) + zlib.compress(b"more"),
    "identity": BODY + b"more",
}


@pytest.mark.parametrize("encoding", COMPRESSED)
@pytest.mark.parametrize("piece_bytes", [1, 7, 64, 1 << 20])
def test_frames_in_a_row_cut_anywhere(encoding: str, piece_bytes: int) -> None:
    inflate, sent = inflater(encoding), COMPRESSED[encoding]
    assert b"".join(inflate(sent[i : i + piece_bytes]) for i in range(0, len(sent), piece_bytes)) == BODY + b"more"


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip", "deflate"])
def test_a_body_that_is_something_else_is_an_error(encoding: str) -> None:
    with pytest.raises(EngineError, match="271"):
        inflater(encoding)(b"this is plain text, not a frame of anything")


def test_unknown_encoding_is_named() -> None:
    with pytest.raises(EngineError, match="brotli"):
        inflater("brotli")


def test_roles() -> None:
    basic = base64.b64encode(b"reader:r").decode()
    assert role_of({}, {"x-clickhouse-user": "headrace", "x-clickhouse-key": "w"}, SETTINGS) == "writer"
    assert role_of({"user": "reader", "password": "r"}, {}, SETTINGS) == "reader"
    assert role_of({}, {"authorization": f"Basic {basic}"}, SETTINGS) == "reader"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-clickhouse-user": "headrace", "x-clickhouse-key": "r"},
        {"x-clickhouse-user": "reader", "x-clickhouse-key": "w"},
        {"x-clickhouse-user": "reader", "x-clickhouse-key": "ŕ"},
        {"authorization": "Basic not base64"},
    ],
)
def test_anybody_else_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(EngineError) as refused:
        role_of({}, headers, SETTINGS)
    assert (refused.value.code, refused.value.status) == (516, 403)


def test_settings_are_what_the_protocol_does_not_use_itself() -> None:
    assert settings_of({"query": "SELECT 1", "param_x": "1", "max_threads": "2", "session_id": "s"}) == {
        "param_x": "1",
        "max_threads": "2",
    }


@pytest.mark.parametrize(
    ("code", "status"), [(62, 400), (60, 404), (516, 403), (497, 403), (159, 408), (48, 501), (395, 500)]
)
def test_status_of_errors(code: int, status: int) -> None:
    assert exception(code, "NAME", "text").status == status


def test_an_error_without_a_number_gets_one() -> None:
    assert EngineError("boom").text == "Code: 1002. DB::Exception: boom"
