"""JSONPath: where something is in an answer."""

from functools import cache, reduce
from itertools import takewhile
from typing import Any

from jsonpath_ng import Child, Fields, Index, JSONPath, Root, This
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.parser import parse


@cache
def parsed(path: str) -> JSONPath:
    """The path of a text. Errors: ValueError saying where it goes wrong."""
    try:
        found: JSONPath = parse(path)
    except (JSONPathError, RecursionError) as error:
        raise ValueError(f"a JSONPath such as $.data.items ({str(error)[:120]})") from error
    return found


def all_at(path: str, document: Any) -> list[Any]:
    """Every value at a path."""
    return [found.value for found in parsed(path).find(document)]


def one_at(path: str, document: Any) -> Any:
    """The first value at a path; None when there is none."""
    return next(iter(all_at(path, document)), None)


def leads_nowhere(path: str, document: Any) -> bool:
    """Whether even the beginning of a path, as far as it is one place, is not in a document: such a path is a mistake."""
    plain = list(takewhile(lambda step: isinstance(step, Root | This | Fields | Index), _steps(parsed(path))))
    return bool(plain) and not reduce(Child, plain).find(document)


def _steps(path: JSONPath) -> list[JSONPath]:
    return [*_steps(path.left), *_steps(path.right)] if isinstance(path, Child) else [path]
