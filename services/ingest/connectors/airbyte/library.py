"""airbyte-cdk as a library: streams of a manifest, in the thread that reads them, with what it does beside that turned off.

Airbyte runs a connector as a program of its own, which ends. Here it is part of one that goes on, so its threads and queue are
not used, nor its cache of answers (of the whole process, and never emptied), nor its log (which has whole requests).
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import Any, Final

import requests
from airbyte_cdk.models import (
    AirbyteStateBlob,
    AirbyteStateMessage,
    AirbyteStateType,
    AirbyteStreamState,
    FailureType,
    StreamDescriptor,
)
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager
from airbyte_cdk.sources.declarative import concurrent_declarative_source
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource
from airbyte_cdk.sources.declarative.decoders.composite_raw_decoder import JsonLineParser
from airbyte_cdk.sources.declarative.decoders.json_decoder import JsonDecoder
from airbyte_cdk.sources.declarative.parsers.custom_code_compiler import custom_code_execution_permitted
from airbyte_cdk.sources.declarative.parsers.model_to_component_factory import ModelToComponentFactory
from airbyte_cdk.sources.message import NoopMessageRepository
from airbyte_cdk.sources.streams.concurrent.default_stream import DefaultStream
from airbyte_cdk.sources.utils.schema_helpers import check_config_against_spec_or_exit
from airbyte_cdk.utils import AirbyteTracedException
from airbyte_cdk.utils.airbyte_secrets_utils import filter_secrets
from jsonschema import ValidationError

from headrace.errors import Fatal, HeadraceError, Transient
from services.ingest.connectors.airbyte.manifest import refuse

_LONGEST_WORDS: Final = 400
_USUAL_DOCUMENTS: Final = JsonDecoder.decode
_LOGGERS: Final = ("airbyte", "airbyte_cdk", "backoff", "requests_cache")


class Factory(ModelToComponentFactory):  # type: ignore[misc]
    """Makes the components of a manifest, and nothing that is refused: references may name it, or answers (dynamic streams)."""

    def create_component(self, model_type: Any, component_definition: Any, config: Any, **more: Any) -> Any:
        """See `ModelToComponentFactory.create_component`. Errors: Fatal, those of `refuse`."""
        refuse(component_definition)
        return super().create_component(model_type, component_definition, config, **more)


class Library(ConcurrentDeclarativeSource):  # type: ignore[misc]
    """The streams of a manifest. Errors of its methods are airbyte-cdk's own."""

    def __init__(self, manifest: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        _prepare()
        if custom_code_execution_permitted():
            raise Fatal(
                "AIRBYTE_ENABLE_UNSAFE_CODE is set for ingest, which lets answers of a server name code: unset it"
            )
        super().__init__(source_config=deepcopy(dict(manifest)), config=config, custom_components_trusted=False)

    def _migrate_and_transform_config(self, config_path: Any, config: Any) -> Any:
        """As the original, which also prints the config, credentials and all."""
        del config_path
        changed = dict(config or {})
        if self._spec_component:
            self._spec_component.migrate_config(changed)
            self._spec_component.transform_config(changed)
        return changed

    def check_config(self) -> None:
        """Whether the config is what the manifest's spec asks for."""
        if self._spec_component:
            check_config_against_spec_or_exit(self._config, self._spec_component.generate_spec())

    def offered(
        self, state: Mapping[str, Any] | None = None, of: str = "", *, look: bool = False
    ) -> list[DefaultStream]:
        """The streams, or the one named `of`, new: each can be read once. To `look` is to ask once, for one page."""
        states = [] if not state else [
            AirbyteStateMessage(
                type=AirbyteStateType.STREAM,
                stream=AirbyteStreamState(StreamDescriptor(name=of), AirbyteStateBlob(deepcopy(dict(state)))),
            )
        ]  # fmt: skip
        self._constructor = Factory(
            connector_state_manager=ConnectorStateManager(states),
            message_repository=NoopMessageRepository(),
            custom_components_trusted=False,
            disable_cache=True,
            disable_retries=look,
            limit_pages_fetched_per_slice=1 if look else None,
            limit_slices_fetched=1 if look else None,
        )
        found = self._streams_by_name([of]) or self.streams(self._config)
        return [stream for stream in found if isinstance(stream, DefaultStream)]


@cache
def _prepare() -> None:
    """Changes the library where it would lose rows without a word, show credentials, or parse its own schema each time (0.3 s).

    Nothing of what it logs is shown: what matters comes as an error.
    """
    JsonDecoder.decode = _documents
    JsonLineParser.parse = _lines
    concurrent_declarative_source.get_declarative_component_schema = cache(
        concurrent_declarative_source.get_declarative_component_schema
    )
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    urllib3 = logging.getLogger("urllib3")
    urllib3.setLevel(max(urllib3.level, logging.INFO))  # its debug log has URLs


def _documents(self: JsonDecoder, response: requests.Response) -> Iterator[Any]:
    """As the original, which takes an answer of success that is no JSON for an empty one. Errors: those of the parser."""
    if not response.ok or response.content.strip() in (b"", b"null"):
        yield from _USUAL_DOCUMENTS(self, response)
    else:
        yield from list(self._decoder.decode(response)) or [{}]


def _lines(self: JsonLineParser, data: Iterable[bytes]) -> Iterator[Any]:
    """As the original, which passes over lines that are no JSON. Errors: ValueError."""
    for line in data:
        if line.strip():
            yield json.loads(line.decode(self.encoding or "utf-8"))


def ours(error: Exception, hide: Callable[[str], str], otherwise: type[HeadraceError]) -> HeadraceError:
    """An error of the library as one of ours. What it says of requests and answers is left out, and secrets are hidden."""
    chain = list(_chain(error))
    for found in chain:
        if isinstance(found, HeadraceError):
            return found
    kind, said = otherwise, f"{type(error).__name__}: {error}"
    if isinstance(chain[-1], ValidationError):  # of the manifest: where, and what
        said = f"{chain[-1].json_path}: {chain[-1].message}"
    for found in chain:
        if isinstance(found, AirbyteTracedException):
            kind, said = Fatal if found.failure_type == FailureType.config_error else Transient, str(found)
            break
        if isinstance(found, requests.RequestException):
            kind = Transient
    return kind(hide(filter_secrets(said.partition(" Request (body)")[0]))[:_LONGEST_WORDS])


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
