"""Applies a JSON Patch to a document. Source: RFC 6902 (operations) and RFC 6901 (paths)."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

Patch = Sequence[Mapping[str, Any]]

_NEEDS: Final[Mapping[str, frozenset[str]]] = {
    "add": frozenset({"value"}),
    "remove": frozenset(),
    "replace": frozenset({"value"}),
    "move": frozenset({"from"}),
    "copy": frozenset({"from"}),
    "test": frozenset({"value"}),
}


class Unpatchable(ValueError):
    """A document that a patch does not fit, or no patch at all; the text says which operation and why."""


def patched(document: Any, patch: Patch) -> Any:
    """The document after all operations; the one given is left alone. Errors: Unpatchable."""
    document = deepcopy(document)
    for operation in patch:
        document = _applied(document, operation)
    return document


def touched(patch: Patch) -> frozenset[str]:
    """The members of the document that the patch may change. Errors: Unpatchable."""
    paths = [_tokens(each["path"]) for each in patch if each.get("op") != "test"]
    paths += [_tokens(each["from"]) for each in patch if each.get("op") == "move"]
    return frozenset(path[0] for path in paths if path)


def checked(patch: object) -> Patch:
    """A patch, made sure of. Errors: Unpatchable."""
    if not isinstance(patch, list):
        raise Unpatchable(
            'a JSON Patch is a list of operations, such as [{"op": "replace", "path": "/dest", "value": "SJU"}]'
        )
    for operation in patch:
        op = operation.get("op") if isinstance(operation, dict) else None
        if not isinstance(op, str) or op not in _NEEDS:
            raise Unpatchable(f"{operation!r} is no operation of a JSON Patch: op is one of {', '.join(_NEEDS)}")
        if missing := ({"path"} | _NEEDS[operation["op"]]) - operation.keys():
            raise Unpatchable(f"the operation {operation['op']} lacks {', '.join(sorted(missing))}")
        paths = [operation["path"], *([operation["from"]] if "from" in _NEEDS[operation["op"]] else [])]
        for path in paths:
            if not isinstance(path, str) or not _tokens(path):
                raise Unpatchable(f"the path {path!r} has to name a column, as in /dest")
    return patch


def _applied(document: Any, operation: Mapping[str, Any]) -> Any:
    op, path = operation["op"], _tokens(operation["path"])
    if op == "test":
        if _at(document, path) != operation["value"]:
            raise Unpatchable(f"the test of {operation['path']} fails: it is {_at(document, path)!r}")
    elif op == "remove":
        _remove(document, path)
    elif op in ("add", "replace"):
        if op == "replace":
            _at(document, path)
        _put(document, path, deepcopy(operation["value"]), op == "replace")
    else:
        source = _tokens(operation["from"])
        value = deepcopy(_at(document, source))
        if op == "move":
            _remove(document, source)
        _put(document, path, value, False)
    return document


def _tokens(path: str) -> list[str]:
    if path == "":
        return []
    if not path.startswith("/"):
        raise Unpatchable(f"the path {path!r} does not start with a slash, as in /dest")
    return [token.replace("~1", "/").replace("~0", "~") for token in path[1:].split("/")]


def _at(document: Any, path: Sequence[str]) -> Any:
    for token in path:
        document = (
            document[_place(document, token, len(document) - 1)]
            if isinstance(document, list)
            else _member(document, token)
        )
    return document


def _member(found: Any, token: str) -> Any:
    if not isinstance(found, dict) or token not in found:
        raise Unpatchable(f"there is no {token!r} to change")
    return found[token]


def _place(found: Sequence[Any], token: str, most: int) -> int:
    if not token.isascii() or not token.isdigit() or int(token) > most:
        raise Unpatchable(f"there is no place {token!r} in a list of {len(found)}")
    return int(token)


def _put(document: Any, path: Sequence[str], value: Any, replacing: bool) -> None:
    parent, last = _at(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list) and replacing:
        parent[_place(parent, last, len(parent) - 1)] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _place(parent, last, len(parent)), value)
    else:
        raise Unpatchable(f"there is nothing to put {last!r} into")


def _remove(document: Any, path: Sequence[str]) -> None:
    parent, last = _at(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        del parent[_place(parent, last, len(parent) - 1)]
    else:
        _member(parent, last)
        del parent[last]
