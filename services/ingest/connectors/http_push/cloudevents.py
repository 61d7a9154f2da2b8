"""CloudEvents 1.0 as rows: attributes become columns `ce_...`, beside the fields of the data or a column `data`.

Source: CloudEvents 1.0.2, its HTTP protocol binding and JSON event format.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa

from headrace.stream.columns import TIMESTAMP
from services.ingest.core.json_rows import Object
from services.ingest.core.json_text import json_text, strict_json

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
_HEADER: Final = "ce-"
_COLUMN: Final = "ce_"
_REQUIRED: Final = ("specversion", "id", "source", "type")
_DATA: Final = ("data", "data_base64")
_ATTRIBUTE: Final = re.compile(r"[a-z0-9]{1,100}")
_JSON: Final = re.compile(r"[^/]+/([^/;]+\+)?json")
_QUOTED: Final = re.compile(r"\\(.)")
_MOST_KEY_CHARACTERS: Final = 256


def is_binary(headers: Mapping[str, str]) -> bool:
    """Whether a request is an event in binary mode: attributes in headers, data in the body."""
    return "ce-specversion" in headers


def event_of(headers: Mapping[str, str], body: bytes) -> bytes:
    """An event in binary mode as the same event in structured mode. Errors: ValueError."""
    attributes = {
        name.removeprefix(_HEADER): _header_text(value) for name, value in headers.items() if name.startswith(_HEADER)
    }
    for name in attributes:
        if not _ATTRIBUTE.fullmatch(name) or name in (*_DATA, "datacontenttype"):
            raise ValueError(f"the header {_HEADER}{name} names no attribute")
    content_type = headers.get("content-type")
    if content_type is not None:
        attributes["datacontenttype"] = content_type
    members = [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in sorted(attributes.items())]
    if body:
        members.append(_data_member(content_type, body))
    return f"{{{','.join(members)}}}".encode()


def _header_text(value: str) -> str:
    """What a header says: quotes and percent-encoding undone. Errors: ValueError."""
    bare = _QUOTED.sub(r"\1", value[1:-1]) if len(value) > 1 and value[0] == value[-1] == '"' else value
    return unquote(bare, errors="strict")


def _data_member(content_type: str | None, body: bytes) -> str:
    media = (content_type or "application/json").partition(";")[0].strip().lower()
    if _JSON.fullmatch(media):
        return f'"data":{json_text(strict_json(body.decode()))}'
    if media.startswith("text/"):
        return f'"data":{json.dumps(body.decode())}'
    return f'"data_base64":"{base64.b64encode(body).decode()}"'


def parsed(event: bytes) -> Object:
    """An event in structured mode. Errors: ValueError saying why it is none."""
    found = strict_json(event.decode())
    if not isinstance(found, dict):
        raise ValueError("the event is not a JSON object")
    for name in _REQUIRED:
        if not isinstance(found.get(name), str) or not found[name]:
            raise ValueError(f"the event has no {name}")
    if found["specversion"] != "1.0":
        raise ValueError(f"the event is of CloudEvents {found['specversion']}, not 1.0")
    if wrong := [name for name in found if name not in _DATA and not _ATTRIBUTE.fullmatch(name)]:
        raise ValueError(f"{wrong[0]!r} is no name of an attribute")
    if all(found.get(name) is not None for name in _DATA):
        raise ValueError("the event has data and data_base64")
    return found


def row(event: Mapping[str, Any]) -> bytes:
    """The row of an event, as a line of JSON. Errors: ValueError when data and attributes want the same column."""
    columns = {
        f"{_COLUMN}{name}": _attribute_text(value)
        for name, value in event.items()
        if name not in _DATA and value is not None
    }
    data = event.get("data")
    beside = data if isinstance(data, dict) else {name: event[name] for name in _DATA if event.get(name) is not None}
    if clash := [name for name in columns if name in beside]:
        raise ValueError(f"the data has a field {clash[0]!r}, which is an attribute's column")
    return json_text({**columns, **beside}).encode()


def _attribute_text(value: Any) -> str:
    """Text, as in a header: the types of attributes are lost there."""
    if isinstance(value, dict | list):
        raise ValueError("an attribute is a text, a number or a boolean")
    return value if isinstance(value, str) else json_text(value)


def identity(event: Mapping[str, Any]) -> str:
    """The idempotency key of an event: its source and id, which no other event has."""
    key = f"cloudevent:{json.dumps([event['source'], event['id']])}"
    return key if len(key) <= _MOST_KEY_CHARACTERS else f"cloudevent:{sha256(key.encode()).hexdigest()}"


def types(schema: pa.Schema) -> pa.Schema:
    """The columns that were found, those of attributes with the types they always have."""
    return pa.schema(
        [field.with_type(_attribute_type(field.name)) if is_attribute(field.name) else field for field in schema]
    )


def is_attribute(column: str) -> bool:
    """Whether a column is an attribute's."""
    return column.startswith(_COLUMN)


def _attribute_type(column: str) -> pa.DataType:
    return TIMESTAMP if column == "ce_time" else pa.string()


def rows(events: Sequence[bytes]) -> tuple[dict[int, bytes], dict[int, str]]:
    """The rows of a batch by their place, and why the other events have none."""
    found: dict[int, bytes] = {}
    faults: dict[int, str] = {}
    for place, event in enumerate(events):
        try:
            found[place] = row(parsed(event))
        except UnicodeDecodeError:
            faults[place] = "the bytes are not UTF-8"
        except (ValueError, RecursionError) as error:
            faults[place] = str(error)
    return found, faults
