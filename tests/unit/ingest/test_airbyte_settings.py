"""What of the `airbyte` connector is there without its library: settings, columns, and how to install the rest."""

import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from headrace.connector import Surroundings
from headrace.errors import Fatal
from services.ingest.connectors.airbyte import opening
from services.ingest.connectors.airbyte.columns import columns_of
from services.ingest.connectors.airbyte.settings import AirbyteSource

ROOT = Path(__file__).parents[3]
LOADED = """
import sys
from headrace.contract.source import kinds
kinds()["airbyte"].model_validate({"type": "airbyte", "manifest": "m.yaml", "stream": "s"})
assert "services.ingest.connectors.airbyte.settings" in sys.modules
assert "airbyte_cdk" not in sys.modules and "requests" not in sys.modules
"""


def settings(**config: Any) -> AirbyteSource:
    return AirbyteSource.model_validate(
        {"type": "airbyte", "manifest": "manifest.yaml", "stream": "items", "config": config}
    )


def test_code_in_the_config_is_refused() -> None:
    assert settings(components_py="import os"), "the control: it means nothing"
    with pytest.raises(ValidationError, match="no code"):
        settings(__injected_components_py="import os")


def test_a_plain_credential_is_refused_by_its_name() -> None:
    assert settings(credentials={"client_secret": "secret://shop"}), "the control"
    with pytest.raises(ValidationError, match="secret://") as caught:
        settings(credentials={"client_secret": "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        (None, "airbyte-cdk, which is not installed"),
        ("7.40.0", "airbyte-cdk 7.40.0 is installed, but"),
        ("7.3.9", "need 7.39"),
    ],
)
def test_without_its_library_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, installed: str | None, said: str
) -> None:
    def found(name: str) -> str:
        if installed is None:
            raise PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(opening, "version", found)
    with pytest.raises(Fatal, match=said) as caught:
        opening.opened(settings(), Surroundings("a.b"))
    assert "headrace[airbyte]" in str(caught.value)


def test_its_settings_load_little() -> None:
    subprocess.run([sys.executable, "-c", LOADED], check=True)


def test_the_extra_is_the_version_that_is_guarded() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["airbyte"] == [f"airbyte-cdk=={opening.MADE_FOR}.*"]


@pytest.mark.parametrize(
    ("described", "column"),
    [
        ({"type": ["null", "integer"]}, pa.int64()),
        ({"type": "number"}, pa.float64()),
        ({"type": "boolean"}, pa.bool_()),
        ({"type": ["string", "null"], "format": "date-time"}, pa.timestamp("us", "UTC")),
        ({"type": "string", "format": "date-time", "airbyte_type": "timestamp_without_timezone"}, pa.timestamp("us")),
        ({"type": "string", "format": "date"}, pa.date32()),
        ({"type": "string", "format": "uri"}, pa.string()),
        ({"type": "array", "items": {"type": "string"}}, pa.list_(pa.string())),
        ({"type": "array", "items": {"type": "object"}}, pa.json_()),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, pa.json_()),
        ({"type": ["string", "integer"]}, pa.json_()),
        ({"oneOf": [{"type": "null"}, {"type": "integer"}]}, pa.int64()),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, pa.json_()),
        ({}, pa.json_()),
        (True, pa.json_()),
    ],
)
def test_a_json_schema_describes_columns(described: Any, column: pa.DataType) -> None:
    assert columns_of({"properties": {"_x": described}}) == pa.schema([("x_", column)])
