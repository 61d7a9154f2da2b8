"""Reads schemas of a registry that belongs to others: nothing is written there, so its denials are doubted for a while."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from headrace.connector import Targets
from headrace.connector.transport import GuardedTransport
from headrace.errors import Fatal, Transient

_REPLY_S: Final = 10.0
_MOST_BYTES: Final = 8 << 20
# Of a subject, a version, a schema. A bare 404 comes from something else that listens there, such as a proxy.
_NOT_FOUND: Final = frozenset({40401, 40402, 40403})
_TRANSIENT: Final = frozenset({404, 408, 425, 429})
_WATCHED_S: Final = 5.0  # whoever was asked this short a time ago was not started anew meanwhile


@dataclass(slots=True)
class Denials:
    """Whether a registry is believed when it says that there is no such schema. Units: seconds.

    One that has just started says so of all it has not read yet. It is believed of a schema that it has denied for
    `patience_s`, and, while it is asked again and again, of every schema once it has denied some for as long.
    """

    patience_s: float
    _first: dict[int, float] = field(default_factory=dict)
    _since: float = 0.0
    _last: float | None = None

    def believed(self, schema_id: int, now_s: float) -> bool:
        """Whether there is no such schema, when the registry has just said so."""
        if self._last is None or now_s - self._last > _WATCHED_S:
            self._since = now_s
        self._last = now_s
        first = self._first.setdefault(schema_id, now_s)
        return now_s - min(first, self._since) >= self.patience_s

    def found(self, schema_id: int) -> None:
        """Forget that it was denied."""
        self._first.pop(schema_id, None)


@dataclass(frozen=True, slots=True)
class ForeignRegistry:
    """A client of one registry with Confluent's API.

    Errors: Transient when it cannot be reached, is overloaded or fails; Fatal when it refuses.
    """

    url: str
    targets: Targets
    username: str | None = None
    password: Callable[[], SecretStr] | None = field(default=None, repr=False)
    ca_file: str | None = None

    def schema(self, schema_id: int) -> str | None:
        """The text of an Avro schema, with what it refers to inside; None when it says that there is none.

        Errors: also ValueError when the schema is none of Avro.
        """
        answer = self._asked(f"schemas/ids/{schema_id}")
        return None if answer is None else json.dumps(self._whole(answer, {}))

    def _whole(self, answer: Mapping[str, Any], seen: dict[str, Any]) -> Any:
        """The schema in an answer, with the definitions it refers to put in where they are first needed."""
        if (kind := answer.get("schemaType", "AVRO")) != "AVRO":
            raise ValueError(f"it is of type {kind}, not AVRO")
        for reference in answer.get("references") or []:
            if reference["name"] not in seen:
                where = f"subjects/{quote(reference['subject'], safe='')}/versions/{reference['version']}"
                found = self._asked(where)
                if found is None:
                    raise ValueError(f"it refers to {reference['name']}, which the registry does not have")
                seen[reference["name"]] = None  # whoever refers to it meanwhile refers to itself
                seen[reference["name"]] = self._whole(found, seen)
        return inlined(json.loads(answer["schema"]), seen)

    def _asked(self, path: str) -> Any:
        """The answer to a question; None when it says that there is no such thing."""
        doing = f"asking the registry {self.url} for {path}"
        status, body = self._answer(f"{self.url.rstrip('/')}/{path}", doing)
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if status == 200 and answer is not None:
            return answer
        details = answer if isinstance(answer, dict) else {}
        if details.get("error_code") in _NOT_FOUND:
            return None
        said = f"{doing}: it answered {status} {details.get('message', '')}".rstrip()
        if status >= 500 or status in _TRANSIENT or status == 200:
            raise Transient(said)
        if status in (401, 403):
            raise Fatal(f"{said}; correct the username and the password of the registry, or let the user in")
        moved = "; redirects are not followed: set its address to where it leads" if 300 <= status < 400 else ""
        raise Fatal(f"{said}{moved}; correct source.value.registry")

    def _answer(self, url: str, doing: str) -> tuple[int, bytes]:
        """Status and body. The address that was looked at is asked; the certificate has to fit the name."""
        headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        transport = GuardedTransport(self.targets, self.ca_file)
        try:
            with (
                httpx.Client(transport=transport, timeout=_REPLY_S, auth=self._auth()) as client,
                client.stream("GET", url, headers=headers) as response,
            ):
                body = b""
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > _MOST_BYTES:
                        raise Fatal(f"{doing}: the answer is larger than {_MOST_BYTES} bytes")
                return response.status_code, body
        except httpx.HTTPError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise Fatal(f"{doing}: {error}; correct the registry's ca_file, or its certificate") from error
            raise Transient(f"{doing}: {error or type(error).__name__}") from error

    def _auth(self) -> tuple[str, str] | None:
        if self.username is None:
            return None
        return self.username, self.password().get_secret_value() if self.password is not None else ""


def inlined(avro: Any, definitions: Mapping[str, Any]) -> Any:
    """An Avro schema in which names that are defined elsewhere are replaced by their definitions, each where it comes first."""
    placed: set[str] = set()

    def walk(node: Any, namespace: str) -> Any:
        if isinstance(node, str):
            full = node if "." in node or not namespace else f"{namespace}.{node}"
            name = full if full in definitions else node
            if definitions.get(name) is None or name in placed:
                return name if name in definitions else node
            return walk(definitions[name], "")
        if isinstance(node, list):
            return [walk(each, namespace) for each in node]
        if not isinstance(node, dict):
            return node
        own = namespace
        if node.get("type") in ("record", "error", "enum", "fixed"):
            name = str(node.get("name", ""))
            own = name.rpartition(".")[0] or str(node.get("namespace", namespace) or "")
            full = name if "." in name or not own else f"{own}.{name}"
            if full in placed and full in definitions:
                return full
            placed.add(full)
        kept = {}
        for key, value in node.items():
            if key in ("type", "items", "values"):
                kept[key] = walk(value, own)
            elif key == "fields":
                kept[key] = [{**each, "type": walk(each["type"], own)} for each in value]
            else:
                kept[key] = value
        return kept

    return walk(avro, "")
