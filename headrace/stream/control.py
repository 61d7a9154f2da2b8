"""The records of control topics: Avro by the schemas in `schemas/`, registered under their topic's subject."""

import io
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import fastavro

from headrace.errors import Fatal, Transient
from headrace.stream import topics
from headrace.stream.codec import BAD_BYTES, schema_id_of
from headrace.stream.registry import Schemas

#: Which subject the schema of a kind is registered under. Quarantine topics share one schema, so one subject stands for them.
_SUBJECTS: Final = {
    "dataset": topics.subject(topics.DATASETS),
    "ledger_entry": topics.subject(topics.LEDGER),
    "event": topics.subject(topics.EVENTS),
    "incident": topics.subject(topics.INCIDENTS),
    "profile": topics.subject(topics.PROFILES),
    "source_position": topics.subject(topics.SOURCE_POSITIONS),
    "push_key": topics.subject(topics.PUSH_KEYS),
    "source_request": topics.subject(topics.SOURCE_REQUESTS),
    "source_answer": topics.subject(topics.SOURCE_ANSWERS),
    "secret": topics.subject(topics.SECRETS),
    "run": topics.subject(topics.RUNS),
    "source_wish": topics.subject(topics.SOURCE_WISHES),
    "source_holding": topics.subject(topics.SOURCE_HOLDINGS),
    "override": topics.subject(topics.OVERRIDES),
    "quarantine_request": topics.subject(topics.QUARANTINE_REQUESTS),
    "quarantine_act": topics.subject(topics.QUARANTINE_ACTS),
    "trial": topics.subject(topics.TRIALS),
    "verdict": topics.subject(topics.VERDICTS),
    "back_test": topics.subject(topics.BACK_TESTS),
    "back_test_answer": topics.subject(topics.BACK_TEST_ANSWERS),
    "access": topics.subject(topics.ACCESS),
    "audit_head": topics.subject(topics.AUDIT_HEADS),
    "quarantined": topics.subject("_headrace.quarantine"),
    "parked": topics.subject("_headrace.parked"),
}


@cache
def schema_text(kind: str) -> str:
    """The Avro schema of a kind of control record, as JSON. Errors: KeyError."""
    if kind not in _SUBJECTS:
        raise KeyError(kind)
    packaged = Path(__file__).parent.parent / "schemas"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[2] / "schemas"
    return (folder / f"{kind}.avsc").read_text()


@cache
def _parsed(text: str) -> Any:
    return fastavro.parse_schema(json.loads(text))


class Controls:
    """Encodes and decodes control records in the wire format."""

    def __init__(self, registry: Schemas) -> None:
        self._registry = registry
        self._ids: dict[str, int] = {}

    def encode(self, kind: str, record: Mapping[str, Any]) -> bytes:
        """Bytes of a record of `kind`. Errors: ValueError when it does not fit its schema; Transient."""
        text = schema_text(kind)
        if kind not in self._ids:
            self._ids[kind] = self._registry.register(_SUBJECTS[kind], text)
        body = io.BytesIO()
        body.write(b"\0" + self._ids[kind].to_bytes(4, "big"))
        fastavro.schemaless_writer(body, _parsed(text), dict(record))
        return body.getvalue()

    def decode(self, value: bytes) -> dict[str, Any]:
        """The record in `value`.

        Errors: Fatal when it is not a control record; Transient, also when the registry refuses: that says nothing of the record.
        """
        schema_id = schema_id_of(value)
        try:
            text = self._registry.schema(schema_id) if schema_id is not None else None
        except Fatal as error:
            raise Transient(f"a control record waits to be read: {error}") from error
        if text is None:
            raise Fatal(f"a control record starts with {value[:5]!r}, which names no known schema")
        try:
            record: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), _parsed(text), None)
        except (ValueError, *BAD_BYTES) as error:
            raise Fatal(f"a control record is damaged: {error or type(error).__name__}") from error
        return dict(record)
