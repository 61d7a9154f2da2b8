"""The program in this process, against a double of the gateway."""

from collections.abc import Callable

import httpx
import pytest
from typer.testing import CliRunner, Result

from headrace.cli.main import app
from headrace.cli.session import Session
from tests.unit.cli.gateway_double import TOKEN, GatewayDouble


@pytest.fixture(autouse=True)
def _unlimited_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe is as wide as it likes, whatever the terminal of the tests is."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def gateway() -> GatewayDouble:
    return GatewayDouble()


@pytest.fixture
def run(gateway: GatewayDouble, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the program in this process, against the double."""
    monkeypatch.delenv("HEADRACE_URL", raising=False)
    monkeypatch.setenv("HEADRACE_TOKEN", TOKEN)

    def invoke(*args: str, input: str | None = None) -> Result:
        session = Session(transport=httpx.MockTransport(gateway))
        return CliRunner().invoke(app, ["--url", "http://gateway.test", *args], input=input, obj=session)

    return invoke
