"""What the schema registry knows: schema ids, and whether a new schema may follow the old ones.

An id stands for one schema for ever, so what was found is kept; what was not found is asked for again, and believed only
of a registry that has read everything it knows.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, Protocol, TypeVar

import httpx2  # the HTTP client inside confluent-kafka, whose errors it lets through
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from headrace.errors import Fatal, Transient

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_COMPATIBILITY: Final = "BACKWARD"
BARRIER: Final = "_headrace.barrier-value"
"""A subject without schemas, whose setting is written to learn that the registry has read its journal."""
_COMPLETE_S: Final = 1.0  # no registry goes away, comes back and serves within
_CONFLICT: Final = 409
# Of a subject, a version, a schema. A bare 404 comes from something else that listens there, such as a proxy
# whose registry is down: taking it for an answer would quarantine good records.
_NOT_FOUND: Final = frozenset({40401, 40402, 40403, 40404})  # the last: deleted before
_TRANSIENT: Final = frozenset({404, 408, 425, 429})


class Schemas(Protocol):
    """What the data plane asks of a registry."""

    def register(self, subject: str, avro: str) -> int:
        """The id of `avro` under `subject`, registered if it is new there. Errors: Transient, Fatal."""
        ...

    def schema(self, schema_id: int) -> str | None:
        """The text of a schema; None when no schema has that id. Errors: Transient."""
        ...

    def latest(self, subject: str) -> tuple[int, str] | None:
        """The newest schema of a subject; None when it has none. Errors: Transient."""
        ...


class Registry:
    """A client of one Confluent-compatible registry. Safe to share between threads.

    Errors: Transient when the registry cannot be reached, is overloaded or fails; Fatal when it refuses.
    """

    def __init__(self, url: str, timeout_s: float = 10) -> None:
        # No retries inside: whoever catches Transient backs off, and must be able to stop meanwhile.
        self._url = url
        self._client = SchemaRegistryClient(
            {"url": url, "timeout": timeout_s, "max.retries": 0, "cache.latest.ttl.sec": 0}
        )
        self._ids: dict[tuple[str, str], int] = {}
        self._complete_at = -math.inf

    def register(self, subject: str, avro: str) -> int:
        """The id of `avro` under `subject`, registered if it is new there. A new subject is set to BACKWARD first.

        Errors: Fatal when a reader of this schema could not read what earlier versions wrote.
        """
        known = self._ids.get((subject, avro))
        if known is not None:
            return known
        with self._errors(f"register a schema under {subject}"):
            if self._found(lambda: self._client.get_latest_version(subject)) is None:
                self._set_compatibility(subject)
            schema_id = self._ids[subject, avro] = self._register(subject, avro)
        return schema_id

    def _set_compatibility(self, subject: str) -> None:
        try:
            self._client.set_compatibility(subject, _COMPATIBILITY)
        except SchemaRegistryError as error:
            if error.http_status_code != _CONFLICT:  # another writer of a new subject has just set it
                raise

    def _register(self, subject: str, avro: str) -> int:
        try:
            schema_id: int = self._client.register_schema(subject, Schema(avro, "AVRO"))
        except SchemaRegistryError as error:
            if error.http_status_code == _CONFLICT:
                raise Fatal(_incompatible(subject, error.error_message)) from error
            raise
        return schema_id

    def schema(self, schema_id: int) -> str | None:
        """The schema with this id, or None when the registry does not know it."""
        with self._errors(f"look up schema {schema_id}"):
            found = self._found(lambda: self._client.get_schema(schema_id))
        return None if found is None else found.schema_str

    def latest(self, subject: str) -> tuple[int, str] | None:
        """The id and text of the newest schema of `subject`, or None when it has none. Asks every time."""
        with self._errors(f"look up the latest schema of {subject}"):
            found = self._found(lambda: self._client.get_latest_version(subject))
        if found is None or found.schema_id is None or found.schema.schema_str is None:
            return None
        return found.schema_id, found.schema.schema_str

    def forget(self, subject: str) -> bool:
        """Delete a subject with its schemas, if it is there; ids that other subjects share stay known. It can be repeated.

        Returns whether it is gone: a registry may not allow it. Errors: Transient.
        """
        for permanent in (False, True):  # the one is required before the other
            try:
                with self._errors(f"delete {subject}"):
                    self._or_none(partial(self._client.delete_subject, subject, permanent))
            except Fatal as error:
                log.warning("%s", error)
                return False
        self._ids = {at: schema_id for at, schema_id in self._ids.items() if at[0] != subject}
        return True

    def _found(self, ask: Callable[[], _T | None]) -> _T | None:
        """What the registry has; None only when it surely has not.

        A registry that has just started serves while it still reads its journal, and says of what it has not read yet
        that there is none. A write goes to the end of the journal, so it is answered when all before it has been read.
        """
        found = self._or_none(ask)
        if found is not None or time.monotonic() - self._complete_at < _COMPLETE_S:
            return found
        self._set_compatibility(BARRIER)
        self._complete_at = time.monotonic()
        return self._or_none(ask)

    @staticmethod
    def _or_none(ask: Callable[[], _T | None]) -> _T | None:
        try:
            return ask()
        except SchemaRegistryError as error:
            if error.error_code in _NOT_FOUND:
                return None
            raise

    @contextmanager
    def _errors(self, attempt: str) -> Iterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            raise Transient(f"cannot {attempt}: the registry at {self._url} does not answer ({error})") from error
        except SchemaRegistryError as error:
            text = f"cannot {attempt}: the registry at {self._url} answered {error.http_status_code}: {error.error_message}"
            if error.http_status_code >= 500 or error.http_status_code in _TRANSIENT:
                raise Transient(text) from error
            raise Fatal(text) from error


def _incompatible(subject: str, message: str) -> str:
    _, marker, differences = message.partition("list of diff types: ")
    what = differences.strip("[]") if marker else message
    return (
        f"the new schema of {subject} cannot read records already there: {what}. Make added columns nullable, do not "
        f"change a column's type or name, or have `headrace replay` make a generation by it, which has topics of its own."
    )
