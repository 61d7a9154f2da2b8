"""Reads a manifest, and refuses what in it is not data."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import SecretStr

from headrace.errors import Fatal
from headrace.secrets.reference import name_of, resolved

_MOST_BYTES: Final = 5_000_000
_REFUSED: Final[Mapping[str, str]] = {
    "AsyncRetriever": "waits for jobs of the server, and keeps their results in files",
    "StateDelegatingStream": "is two streams, chosen by the state",
    "FileUploader": "downloads files",
    "JsonFileSchemaLoader": "reads further files; put the schema into the manifest (InlineSchemaLoader)",
}


def manifest_of(path: Path) -> dict[str, Any]:
    """The manifest in a file. Errors: Fatal when it is none, or has parts that are not run here."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise Fatal(f"{path} is larger than {_MOST_BYTES} bytes: it is no manifest")
        found = yaml.safe_load(text)
        refuse(found)
    except OSError as error:
        raise Fatal(f"the manifest {path} cannot be read: {error.strerror}; correct source.manifest") from error
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        at = getattr(error, "problem_mark", None)
        raise Fatal(f"{path} is no YAML{f' (line {at.line + 1})' if at else ''}; correct it") from error
    if not isinstance(found, dict) or not any(name in found for name in ("streams", "dynamic_streams")):
        raise Fatal(f"{path} has no streams: it is no manifest of a declarative connector (manifest.yaml)")
    return found


def refuse(found: Any, at: str = "") -> None:
    """Errors: Fatal when a manifest names code, or what is not run here."""
    if isinstance(found, list):
        for number, item in enumerate(found):
            refuse(item, f"{at}[{number}]")
    if not isinstance(found, dict):
        return
    kind = found.get("type")
    if isinstance(found.get("class_name"), str) or (isinstance(kind, str) and kind.startswith("Custom")):
        raise Fatal(
            f"the manifest has a custom component at {at or 'its top'}, which is Python code; a manifest is data here: "
            "use the declarative components, or a connector of your own (docs/connectors.md)"
        )
    if isinstance(kind, str) and kind in _REFUSED:
        raise Fatal(f"the manifest has a {kind} at {at}, which is not run here: it {_REFUSED[kind]}")
    if isinstance(found.get("refresh_token_updater"), dict):
        raise Fatal(
            f"the manifest replaces its refresh token at {at}.refresh_token_updater, which would be lost here; use a source "
            "of type rest with oauth2_refresh_token, which keeps it"
        )
    for name, item in found.items():
        refuse(item, f"{at}.{name}".lstrip("."))


def with_secrets(config: Any, find: Callable[[str], SecretStr], found: set[str]) -> Any:
    """The config with the secrets it refers to, which are also added to `found`. Errors: Fatal when one is not set."""
    if isinstance(config, dict):
        return {name: with_secrets(item, find, found) for name, item in config.items()}
    if isinstance(config, list):
        return [with_secrets(item, find, found) for item in config]
    if not isinstance(config, str) or name_of(config) is None:
        return config
    value = resolved(config, find).get_secret_value()
    found.add(value)
    return value


def secret_paths(spec: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where in a config the manifest's spec (`connection_specification`) says that a credential is."""
    if not isinstance(spec, dict):
        return
    if spec.get("airbyte_secret") is True:
        yield at
    for kind in ("oneOf", "anyOf", "allOf"):
        for choice in spec.get(kind) or ():
            yield from secret_paths(choice, at)
    for name, item in (spec.get("properties") or {}).items():
        yield from secret_paths(item, (*at, name))


def refuse_plain(config: Any, spec: Any) -> None:
    """Errors: Fatal when a credential stands in the config itself."""
    for path in secret_paths(spec):
        value = config
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None and (not isinstance(value, str) or name_of(value) is None):
            raise Fatal(
                f"source.config.{'.'.join(path)} is a credential (not shown here) by the manifest's spec: run "
                "`headrace secret set NAME`, then write secret://NAME in its place"
            )
