"""The `airbyte` connector: a stream of a declarative manifest, slice by slice, with its Airbyte state for a position.

A stream without a cursor is read once, and has ended then. With one, each later read asks for what is new.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

import pyarrow as pa
from airbyte_cdk.sources.streams.concurrent.default_stream import DefaultStream

from headrace.connector import Fetched, Step, Stream, Surroundings
from headrace.connector.http import Clock, Signature, Throttled
from headrace.errors import Fatal, HeadraceError, Transient
from services.ingest.adapters.sniffer import object_types
from services.ingest.connectors.airbyte.columns import columns_of
from services.ingest.connectors.airbyte.guard import Guard
from services.ingest.connectors.airbyte.library import Library, ours
from services.ingest.connectors.airbyte.manifest import manifest_of, refuse_plain, with_secrets
from services.ingest.connectors.airbyte.progress import Otherwise, Progress, Reading
from services.ingest.connectors.airbyte.settings import AirbyteSource
from services.ingest.connectors.folders import Folders
from services.ingest.connectors.rest.progress import Fingerprint
from services.ingest.connectors.rest.records import fetched, line_of
from services.ingest.core.names import column_name
from services.ingest.core.typing import Typing, first_schema

log = logging.getLogger(__name__)

_EVERY_S: Final = 1.0  # rows wait no longer for others, once the next one is there
_LONGEST_WAIT_S: Final = 3600.0

T = TypeVar("T")


class AirbyteConnector:
    """See `headrace.connector.Connector`. Positions are those of `services.ingest.connectors.airbyte.progress`."""

    def __init__(self, source: AirbyteSource, surroundings: Surroundings, clock: Clock | None = None) -> None:
        self._source = source
        self._surroundings = surroundings
        self._clock = clock or Clock()
        self._guard = Guard(surroundings.targets, self._clock)
        self._schema = surroundings.schema
        self._hidden = Signature()
        self._library: Library | None = None
        self._not_before = 0.0
        self.waiting = False

    def check(self) -> Iterator[Step]:
        """See `Connector.check`. One page is asked for, once."""
        source = self._source
        trying, at, remedy = "manifest", "source.manifest", "correct the manifest, or the path to it"
        try:
            manifest = self._manifest()
            at, remedy = "source.config", "set the credentials that the config names"
            config = self._config(manifest)
            at, remedy = "source.manifest", "correct the manifest"
            library = self._loaded(manifest, config)
            yield Step(trying, True, f"{source.manifest} is a manifest that can be run")
            trying, at, remedy = "config", "source.config", "correct what the manifest's spec asks for"
            with self._asking(Fatal):
                library.check_config()
            yield Step(trying, True, "the config is what the manifest's spec asks for")
            trying, at, remedy = "list", "source.stream", "name one of the manifest's streams"
            stream = self._stream(None, look=True)
            yield Step(trying, True, f"there is a stream {stream.name}")
            trying, at, remedy = "read", "source.config", "correct the config, or what the manifest asks for"
            rows = sum(1 for part in self._asked(stream.generate_partitions()) for _ in self._asked(part.read()))
            yield Step(trying, True, f"{rows} records on the first page")
        except (Fatal, Transient) as error:
            yield Step(trying, False, str(error), at, remedy)

    def discover(self) -> list[Stream]:
        """See `Connector.discover`: all streams of the manifest, as their JSON Schemas describe them."""
        with self._asking(Transient):
            return [self._described(stream) for stream in self._opened().offered()]

    def _described(self, stream: DefaultStream) -> Stream:
        found = stream.as_airbyte_stream()
        columns = first_schema([], self._typing(found.json_schema), object_types)
        keys = tuple(column_name(path[0]) for path in found.source_defined_primary_key or () if len(path) == 1)
        cursors = tuple(column_name(name) for name in found.default_cursor_field or ())
        named = set(columns.names)
        return Stream(
            stream.name,
            columns,
            keys if named.issuperset(keys) else (),
            tuple(name for name in cursors if name in named),
        )

    def read(self, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Connector.read`. When the server asks for patience, the read ends early, and later ones wait that long."""
        at = Progress.from_json(position) if position else Progress(self._source.state)
        self.waiting = self._clock.monotonic() < self._not_before
        if at.ended or self.waiting:
            return
        try:
            try:
                yield from self._run(at)
            except Otherwise:  # before any step
                log.warning(
                    "%s: %d rows do not come again as they were, all are read again", self._source.stream, at.done
                )
                yield from self._run(replace(at, done=0, seen=""))
        except Throttled as error:
            self._not_before = self._clock.monotonic() + min(error.wait_s, _LONGEST_WAIT_S)
            self.waiting = True
            log.warning("%s", error)

    def _run(self, before: Progress) -> Iterator[tuple[Fetched, str]]:
        """The rest of a run, or the whole of the next. Errors: Otherwise, before any step."""
        stream, told = self._stream(before.state), before
        reading = Reading(before, lambda cursor: _converter(stream).parse_value(cursor))
        lines: list[tuple[bytes, str]] = []
        due = self._clock.monotonic() + _EVERY_S
        for part in self._asked(stream.generate_partitions()):
            key, where = _named(stream, part.to_slice())
            for number, record in enumerate(self._asked(part.read()), 1):
                stream.cursor.observe(record)
                line = line_of(dict(record.data), plain=True)
                if reading.is_new(key, line, _cursor(stream, record)):
                    lines.append((line, f"{where}, record {number}"))
                if len(lines) >= self._surroundings.batch_rows or (lines and self._clock.monotonic() >= due):
                    told = reading.progress
                    yield self._rows(lines, stream), told.to_json()
                    lines, due = [], self._clock.monotonic() + _EVERY_S
            with self._asking(Transient):
                stream.cursor.close_partition(part)
            if self._clock.monotonic() >= due:  # a state can be long, and takes its time to write
                reading.reached(_state(stream))
                if lines:
                    told = reading.progress
                    yield self._rows(lines, stream), told.to_json()
                lines, due = [], self._clock.monotonic() + _EVERY_S
        stream.cursor.ensure_at_least_one_state_emitted()
        reading.reached(_state(stream), whole=True)
        at = reading.progress if stream.cursor_field else Progress(ended=True)
        if lines:
            yield self._rows(lines, stream), at.to_json()
        elif at != told and self._schema is not None:  # the way there had no rows
            yield Fetched(pa.RecordBatch.from_pylist([], schema=self._schema)), at.to_json()

    def _rows(self, found: list[tuple[bytes, str]], stream: DefaultStream) -> Fetched:
        lines, origins = [line for line, _ in found], [origin for _, origin in found]
        typing = self._typing({})
        if self._schema is None:
            with self._asking(Transient):
                typing = self._typing(stream.get_json_schema())
            self._schema = first_schema(lines, typing, object_types)
        rows = fetched(lines, origins, self._schema, typing)
        self._schema = rows.rows.schema if len(rows.rows.schema) else self._schema
        return rows

    def _typing(self, json_schema: Mapping[str, Any]) -> Typing:
        """The columns of a JSON Schema, and those that the dataset file declares, which alone count where no others may come."""
        around = self._surroundings
        described = {} if around.declares_all else {column.name: column.type for column in columns_of(json_schema)}
        alone = around.declares_all or (bool(described) and around.evolution != "evolve")
        return Typing({**described, **around.declared}, around.evolution, self._source.max_record_bytes, alone)

    def _stream(self, state: Mapping[str, Any] | None, *, look: bool = False) -> DefaultStream:
        """The stream, new. Errors: Transient; Fatal when the manifest has none of that name."""
        with self._asking(Transient):
            offered = self._opened().offered(state, self._source.stream, look=look)
        for stream in offered:
            if stream.name == self._source.stream:
                return stream
        names = ", ".join(stream.name for stream in offered)
        raise Fatal(f"the manifest has no stream {self._source.stream!r}; it has {names[:300]}; correct source.stream")

    def _opened(self) -> Library:
        if self._library is None:
            manifest = self._manifest()
            self._library = self._loaded(manifest, self._config(manifest))
        return self._library

    def _manifest(self) -> dict[str, Any]:
        around = self._surroundings
        path = around.folder / self._source.manifest
        Folders(around.folder, around.further_folders).check(path)
        return manifest_of(path)

    def _config(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        spec = (manifest.get("spec") or {}).get("connection_specification") or {}
        refuse_plain(self._source.config, spec)
        hidden: set[str] = set()
        config: dict[str, Any] = with_secrets(self._source.config, self._surroundings.secret, hidden)
        self._hidden = Signature(hidden=frozenset(hidden))
        return config

    def _loaded(self, manifest: Mapping[str, Any], config: Mapping[str, Any]) -> Library:
        with self._asking(Fatal):
            return Library(manifest, config)

    @contextmanager
    def _asking(self, otherwise: type[HeadraceError]) -> Iterator[None]:
        """What the library does in the block is guarded, and its errors are ours; those it does not class are `otherwise`."""
        with self._guard.active():
            try:
                yield
            except Exception as error:
                raise ours(error, self._hidden.hide, otherwise) from None

    def _asked(self, items: Iterable[T]) -> Iterator[T]:
        """What the library gives, bit by bit."""
        found = iter(items)
        while True:
            with self._asking(Transient):
                try:
                    item = next(found)
                except StopIteration:
                    return
            yield item


def _state(stream: DefaultStream) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(stream.cursor.state))
    return found


def _converter(stream: DefaultStream) -> Any:
    """Knows the texts of cursors, as the state has them. Both kinds of cursor have one, for themselves."""
    return stream.cursor._connector_state_converter


def _cursor(stream: DefaultStream, record: Any) -> Any:
    """The cursor of a record, as a state has it; None when it has none that can be read."""
    value = record.data.get(stream.cursor_field) if stream.cursor_field else None
    if value is None:
        return None
    try:
        return _converter(stream).output_format(_converter(stream).parse_value(value))
    except (ValueError, TypeError, OverflowError):
        return None


def _named(stream: DefaultStream, slice_: Any) -> tuple[str, str]:
    """What a slice is a part of, for the position; and its name, for a person."""
    text = json.dumps(dict(slice_ or {}), default=str, sort_keys=True)
    partition = dict(getattr(slice_, "partition", None) or {})
    key = Fingerprint([json.dumps(partition, default=str, sort_keys=True).encode()]).text if partition else ""
    return key, f"{stream.name} {text[:80]}"
