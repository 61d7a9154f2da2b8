"""Opens the `airbyte` connector, whose library is an extra, takes seconds and memory to load, and is changed inside."""

import logging.config
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from headrace.connector import Connector, Surroundings
from headrace.errors import Fatal
from services.ingest.connectors.airbyte.settings import AirbyteSource

MADE_FOR: Final = "7.39"
"""The versions of airbyte-cdk that are guarded: the extra in pyproject.toml has the same."""

_REMEDY: Final = "install the extra where ingest runs (`pip install 'headrace[airbyte]'`), then start ingest again"
_LOADING: Final = threading.Lock()


def opened(source: AirbyteSource, surroundings: Surroundings) -> Connector:
    """The connector of a manifest. Errors: Fatal when airbyte-cdk is not installed, or in another version."""
    _check_version()
    with _logging_left_alone():
        from services.ingest.connectors.airbyte.connector import AirbyteConnector
    return AirbyteConnector(source, surroundings)


def _check_version() -> None:
    """Another version may have other inner parts, and what is changed there would pass without a word (decision 17)."""
    try:
        found = version("airbyte-cdk")
    except PackageNotFoundError:
        raise Fatal(f"sources of type airbyte need airbyte-cdk, which is not installed: {_REMEDY}") from None
    if not found.startswith(f"{MADE_FOR}."):
        raise Fatal(f"airbyte-cdk {found} is installed, but sources of type airbyte need {MADE_FOR}: {_REMEDY}")


@contextmanager
def _logging_left_alone() -> Iterator[None]:
    """airbyte-cdk replaces the log handlers of the process when it is imported."""
    with _LOADING:
        usual, here = logging.config.dictConfig, threading.get_ident()

        def not_from_here(config: Any) -> None:
            if threading.get_ident() != here:
                usual(config)

        logging.config.dictConfig = not_from_here
        try:
            yield
        finally:
            logging.config.dictConfig = usual
