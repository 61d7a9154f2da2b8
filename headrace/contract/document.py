"""How the text of a dataset file becomes plain values, and where in the text each of them stands.

YAML is read as version 1.2 (`no` is a word), dates stay text, and what makes a file hard to read or unsafe to
load is refused by name: duplicate keys, anchors, custom tags, several documents, excessive size or nesting.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, DocumentStartEvent, NodeEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from headrace.contract.issue import Path
from headrace.errors import ContractError, Problem

MAX_CHARACTERS: Final = 256_000
MAX_DEPTH: Final = 40


class Mark(NamedTuple):
    """A place in the text. Units: both count from 1; `text_line` is the first line of a block of text."""

    line: int
    column: int
    text_line: int


@dataclass(frozen=True, slots=True)
class Document:
    """A file's values. `marks` gives the place of each key and list item by its path."""

    value: Any
    marks: Mapping[Path, Mark] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def read(text: str, origin: str) -> Document:
    """The values of a YAML text.

    `problems` of the result are those which leave the rest readable. Errors: ContractError for the others.
    """
    if len(text) > MAX_CHARACTERS:
        expected = f"a dataset file of at most {MAX_CHARACTERS:,} (is this the data itself?)"
        raise ContractError([Problem(1, 1, "", f"{len(text):,} characters", expected)], origin)
    try:
        refusals = list(_refused(text))
        if refusals:
            raise ContractError(refusals, origin)
        root = _yaml().compose(text)
    except YAMLError as error:
        raise ContractError([_syntax(error, text)], origin) from None
    if root is None:
        raise ContractError([Problem(1, 1, "", "an empty file", "a dataset file: a mapping of settings")], origin)
    marks: dict[Path, Mark] = {(): _mark(root, root)}
    problems: list[Problem] = []
    return Document(_value(root, (), marks, problems), marks, tuple(problems))


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 2)
    return yaml


def _refused(text: str) -> Iterator[Problem]:
    """What YAML allows and a dataset file does not. Stops at the first nesting that is too deep."""
    depth = documents = 0
    for event in _yaml().parse(text):
        place = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                yield Problem(*place, "", f"more than {MAX_DEPTH} levels of nesting", "a dataset file, which has few")
                return
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        elif isinstance(event, DocumentStartEvent):
            documents += 1
            if documents == 2:
                yield Problem(*place, "", "a second document", "one dataset in a file")
        if isinstance(event, AliasEvent):
            yield Problem(
                *place, "", f"the alias *{event.anchor}", "the value itself, so that each setting stands alone"
            )
        elif isinstance(event, NodeEvent) and event.anchor is not None:
            yield Problem(*place, "", f"the anchor &{event.anchor}", "no anchors: write the value where it is used")
        if (tag := getattr(event, "tag", None)) is not None:
            yield Problem(*place, "", f"the tag {tag}", "plain YAML without tags")


def _syntax(error: YAMLError, text: str) -> Problem:
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        position = getattr(error, "position", 0)
        line, column = text.count("\n", 0, position) + 1, position - (text.rfind("\n", 0, position) + 1) + 1
        return Problem(line, column, "", "a character that is not text", "readable characters only")
    mark = error.problem_mark
    place = (mark.line + 1, mark.column + 1)
    lines = text.splitlines()
    line_text = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line_text[: mark.column + 1]:
        return Problem(*place, "", "a tab", "spaces: YAML does not allow tabs for indentation")
    reason = str(error.problem).partition("\n")[0].strip()
    began = f" ({error.context} that began on line {error.context_mark.line + 1})" if error.context_mark else ""
    return Problem(*place, "", f"text that is not YAML: {reason}{began}", "valid YAML")


def _value(node: Node, path: Path, marks: dict[Path, Mark], problems: list[Problem]) -> Any:
    if isinstance(node, SequenceNode):
        values = []
        for i, item in enumerate(node.value):
            marks[*path, i] = _mark(item, item)
            values.append(_value(item, (*path, i), marks, problems))
        return values
    if isinstance(node, MappingNode):
        return _mapping(node, path, marks, problems)
    assert isinstance(node, ScalarNode)
    return _scalar(node)


def _mapping(node: MappingNode, path: Path, marks: dict[Path, Mark], problems: list[Problem]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in node.value:
        mark = _mark(key, value)
        if not isinstance(key, ScalarNode):
            problems.append(Problem(mark.line, mark.column, dotted(path), "a key that is a list or mapping", "a name"))
            continue
        name = key.value  # as written: a column may be called `true` or `1`
        if name in values:
            above = marks[*path, name].line
            problems.append(
                Problem(
                    mark.line, mark.column, dotted((*path, name)), f"the key {name!r} again", f"it once (line {above})"
                )
            )
            continue
        marks[*path, name] = mark
        values[name] = _value(value, (*path, name), marks, problems)
    return values


def _scalar(node: ScalarNode) -> Any:
    """The value of a scalar as YAML 1.2's core schema has it; dates stay text."""
    try:
        match str(node.tag).removeprefix("tag:yaml.org,2002:"):
            case "null":
                return None
            case "bool":
                return _constructor().construct_yaml_bool(node)
            case "int":
                return _constructor().construct_yaml_int(node)
            case "float":
                return _constructor().construct_yaml_float(node)
    except ValueError:  # a number of thousands of digits
        pass
    return node.value


@cache
def _constructor() -> Any:
    return _yaml().constructor


def _mark(place: Node, value: Node) -> Mark:
    start = place.start_mark
    block = isinstance(value, ScalarNode) and value.style in ("|", ">")
    return Mark(start.line + 1, start.column + 1, value.start_mark.line + 1 + (1 if block else 0))


def dotted(path: Path) -> str:
    """A path as people write it: `schema.fields[2].name`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
