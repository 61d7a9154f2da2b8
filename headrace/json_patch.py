"""Applies a JSON Patch to a row, and says what is wrong with one. Source: RFC 6902 (operations) and RFC 6901 (paths)."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

import jsonpatch
import jsonpointer

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
        try:
            document = jsonpatch.apply_patch(document, [operation])
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
            raise Unpatchable(f"the {operation['op']} of {operation['path']} fails: {error}") from error
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


def _tokens(path: str) -> list[str]:
    try:
        return list(jsonpointer.JsonPointer(path).parts)
    except jsonpointer.JsonPointerException as error:
        raise Unpatchable(f"the path {path!r} is none, such as /dest: {error}") from error
