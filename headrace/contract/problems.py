"""How an error of the model becomes a problem that points into the file and says what to write instead."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from headrace.contract.document import Document, Mark, dotted
from headrace.contract.issue import Path
from headrace.contract.names import among, closest
from headrace.errors import Problem

#: What a pattern of the model asks for, in words.
PATTERNS: Final = {
    r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$": "domain.name in lower case letters, digits and underscores",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "a column name: letters, digits and underscores, not a digit first",
    r"^[A-Za-z][A-Za-z0-9_]*$": "a name of letters, digits and underscores that starts with a letter",
    r"^(json|decimal\([0-9]{1,2}, ?[0-9]{1,2}\))$": "json, or decimal(precision, scale)",
}
LONGEST_VALUE: Final = 60


def problems_of(error: ValidationError, document: Document, schema: Mapping[str, Any]) -> list[Problem]:
    """Every problem behind a validation error. `schema` is the JSON Schema of the model that was validated."""
    found: dict[tuple[Path, str, str], Problem] = {}
    for detail in error.errors(include_url=False):
        path = _data_path(detail["loc"], document.value, names_absent=detail["type"] in ("missing", "rule"))
        problem = _problem(detail, path, document, schema)
        key = (path, problem.found, problem.expected if detail["type"] == "rule" else "")
        if (earlier := found.get(key)) and problem.expected not in earlier.expected:  # a member of a union each
            problem = replace(problem, expected=f"{earlier.expected} or {problem.expected}")
        found[key] = problem
    renamed = {(problem.path.rpartition(".")[0], problem.suggestion) for problem in found.values()}
    return [
        problem
        for (path, _, _), problem in found.items()
        if problem.found != "nothing" or (dotted(path[:-1]), path[-1]) not in renamed
    ]


def _problem(detail: ErrorDetails, path: Path, document: Document, schema: Mapping[str, Any]) -> Problem:
    mark = _nearest(path, document)
    context: dict[str, Any] = detail.get("ctx", {})
    value = detail["input"]
    suggestion: str | None = None
    found, message = _shown(value), detail["msg"]
    expected = re.sub(r"^(Input|String|Value|List) should (be |have )?", "", message)
    match detail["type"]:
        case "rule":
            line = mark.text_line + context["line"] - 1 if context["line"] else mark.line
            column = 1 if context["line"] and line != mark.line else mark.column
            hint = context["suggestion"] or None
            return Problem(line, column, dotted(path), context["found"], context["expected"], hint)
        case "missing":
            found, expected = "nothing", f"a value. {_described(detail['loc'], schema)}".rstrip(". ")
        case "extra_forbidden":
            known = _known_keys(detail["loc"][:-1], schema)
            found, expected = f"the unknown key {path[-1]!r}", among(sorted(known)) if known else "no keys"
            suggestion = closest(str(path[-1]), known)
        case "literal_error":
            suggestion = closest(str(value), re.findall(r"'([^']*)'", context["expected"]))
            expected = context["expected"].replace("'", "")
        case "union_tag_invalid":
            tag = str(context["discriminator"]).strip("'")
            path, found, value = (*path, tag), repr(context["tag"]), context["tag"]
            mark = _nearest(path, document)
            known = re.findall(r"'([^']*)'", context["expected_tags"])
            expected, suggestion = among(known), closest(str(context["tag"]), known)
        case "union_tag_not_found":
            tag = str(context["discriminator"]).strip("'")
            found, expected = "nothing", f"{tag}: {among(_tags(detail['loc'], schema))}"
            path = (*path, tag)
        case "string_pattern_mismatch":
            expected = PATTERNS.get(context["pattern"], expected)
            folded = re.sub(r"[^a-z0-9_.]+", "_", str(value).lower())
            suggestion = folded if re.fullmatch(context["pattern"], folded) else None
        case "model_type" | "model_attributes_type" | "dict_type":
            expected = "a mapping of settings"
        case "list_type":
            expected = "a list, one item a line after a dash"
    return Problem(mark.line, mark.column, dotted(path), found, expected, suggestion)


def _data_path(loc: tuple[int | str, ...], value: Any, names_absent: bool) -> Path:
    """The part of an error's location that exists in the document: pydantic adds the names of union members."""
    path: list[int | str] = []
    for i, part in enumerate(loc):
        if isinstance(value, dict) and (part in value or (names_absent and i == len(loc) - 1)):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            continue
        path.append(part)
    return tuple(path)


def _nearest(path: Path, document: Document) -> Mark:
    for length in range(len(path), -1, -1):
        if mark := document.marks.get(path[:length]):
            return mark
    return Mark(0, 0, 0)


def _shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            text = repr(value)
            return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def _at(loc: tuple[int | str, ...], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of the JSON Schema that describes a location."""
    definitions = schema.get("$defs", {})

    def resolved(part: Mapping[str, Any]) -> Mapping[str, Any]:
        if alternatives := [a for a in part.get("anyOf", []) if a.get("type") != "null"]:
            part = alternatives[0]
        return definitions[part["$ref"].rpartition("/")[2]] if "$ref" in part else part

    here = resolved(schema)
    for step in loc:
        if isinstance(step, int):
            here = here.get("items", {})
        elif "discriminator" in here:
            here = {"$ref": here["discriminator"]["mapping"].get(step, "")} if step else {}
        else:
            here = here.get("properties", {}).get(step, {})
        here = resolved(here) if "$ref" not in here or here["$ref"] else {}
    return here


def _known_keys(loc: tuple[int | str, ...], schema: Mapping[str, Any]) -> list[str]:
    return list(_at(loc, schema).get("properties", {}))


def _described(loc: tuple[int | str, ...], schema: Mapping[str, Any]) -> str:
    setting = _at(loc[:-1], schema).get("properties", {}).get(str(loc[-1]), {})
    return str(setting.get("description") or _at(loc, schema).get("description", ""))


def _tags(loc: tuple[int | str, ...], schema: Mapping[str, Any]) -> list[str]:
    return list(_at(loc, schema).get("discriminator", {}).get("mapping", {}))
