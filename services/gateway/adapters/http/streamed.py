"""Answers that come in parts, a line of JSON for each as it comes."""

import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from itertools import chain
from typing import Any, Final

from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from headrace.errors import Transient
from services.gateway.adapters.inquiry import Part

NDJSON: Final = "application/x-ndjson"


def described(model: type[BaseModel], description: str) -> dict[int | str, dict[str, Any]]:
    """How OpenAPI tells of such an answer."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {HTTPStatus.OK.value: {"description": description, "content": {NDJSON: {"schema": schema}}, "model": model}}


def streamed(parts: Iterator[Part], broken_off: Callable[[Transient], list[Part]]) -> StreamingResponse:
    """The parts as they come; `broken_off` makes the last of them where no more come. Errors: Transient before the first."""
    first = next(parts)  # before the status is sent: where nobody answers, it is an error
    return StreamingResponse(_lines(chain([first], parts), broken_off), media_type=NDJSON)


def _lines(parts: Iterator[Part], broken_off: Callable[[Transient], list[Part]]) -> Iterator[str]:
    try:
        for part in parts:
            yield _line(part)
    except Transient as error:
        for part in broken_off(error):
            yield _line(part)


def _line(part: Part) -> str:
    return json.dumps({"part": part.kind, **part.body}, ensure_ascii=False) + "\n"
