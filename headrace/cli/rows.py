"""The command that shows a row's passport: from the warehouse back to its raw record, and from there on."""

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer
from rich.console import RenderableType

from headrace.cli import made_tests, tables
from headrace.cli.made_tests import AsTest, Clear, TestFile
from headrace.cli.observe import DatasetArgument
from headrace.cli.render import NOTHING, Format, Output, command, count, emit, moment, safe, table
from headrace.cli.session import session_of
from headrace.client import Contributors, Passport, Passports
from headrace.errors import HeadraceError

_COLOURS: Final = {"loaded": "green", "in_flight": "yellow", "parked": "yellow", "quarantined": "red", "missing": "red"}
_BYTES_SHOWN: Final = 96


def row(
    context: typer.Context,
    dataset: DatasetArgument,
    where: Annotated[
        str | None,
        typer.Option(metavar="CONDITION", help="Rows of its table, by what may follow WHERE.", show_default=False),
    ] = None,
    raw: Annotated[
        str | None,
        typer.Option(
            "--raw",
            "--id",
            metavar="PARTITION:OFFSET",
            help="A raw record, whatever became of it; of a row these are its _partition and _offset.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=20, help="The most raw records to follow.")] = 5,
    as_test: AsTest = False,
    file: TestFile = None,
    clear: Clear = None,
    contributors: Annotated[
        int,
        typer.Option(
            metavar="ROWS", min=0, max=100, help="Of a row of a model: the rows of each dataset it was made of to show."
        ),
    ] = 5,
    output: Output = Format.TABLE,
) -> None:
    """Show where a row comes from and what became of its record: its passport.

    Back from the warehouse: raw bytes, schema, version of the dataset file, checks, flags, edits, stages. Forward from a raw
    record: the rows it became, or why there are none. Of a row that a model made: the rows of other datasets it was made of.

    With --as-test it becomes a test of the dataset file: what the transform saw of it, and what became of it. Columns that are
    confidential, or seem to hold personal data, have stand-ins.

    Examples:

        headrace row nyc.flights --where "flight = 1545 AND carrier = 'UA'" -n 1
        headrace row nyc.flights --raw 0:4711
        headrace row nyc.flights --raw 0:4711 -o json | jq -r '.items[0].raw.value' | base64 -d
        headrace row nyc.flights --raw 0:4711 --as-test --file flights.yaml
    """
    made_tests.refuse_alone(as_test, file, clear)
    if (where is None) == (raw is None):
        raise HeadraceError("Say which row: either --where CONDITION or --raw PARTITION:OFFSET.")
    contributors = 0 if as_test else contributors
    with session_of(context).client() as client:
        if where is not None:
            found = client.rows.passports(dataset, where, limit, contributors)
        else:
            found = Passports(items=(client.rows.passport(dataset, raw or "", contributors),))
        if as_test and found.items:
            tests = [client.rows.as_test(dataset, item.id, clear or ()) for item in found.items]
            made_tests.made(dataset, tests, file, output)
            return
    data = {"items": [item.model_dump(by_alias=True) for item in found.items], "truncated": found.truncated}
    emit(data, output, lambda: _passports(dataset, found))


def _passports(dataset: str, found: Passports) -> Iterator[RenderableType]:
    if not found.items:
        yield f"No row of {safe(dataset)} meets the condition."
        yield f"  It may have been filtered or set aside: {command(f'quarantine ls {dataset}')}"
    for item in found.items:
        yield from _passport(item)
    if found.truncated:
        yield f"[yellow]More raw records than these {len(found.items)}: narrow the condition, or ask for more with --limit.[/]"


def _passport(item: Passport) -> Iterator[RenderableType]:
    fate = item.fate
    state = f"[{_COLOURS.get(fate.state, 'bold')}]{safe(fate.state.replace('_', ' '))}[/]"
    yield f"[bold]{safe(item.dataset)}[/] {safe(item.id)}: {state}, {safe(fate.detail)}"
    rule = {"dropped by": fate.rule} if fate.rule else {"dropped by one of": ", ".join(fate.candidates)}
    yield _facts({**(rule if fate.state == "filtered" else {}), **_record(item), **_made_by(item)})
    if item.raw.fields is not None:
        yield _facts(item.raw.fields, "raw field")
    elif item.raw.value:
        yield f"It cannot be decoded: {safe(item.raw.error)}"
    yield _legs(item)
    yield from _rows(item)
    yield from _set_aside(item)
    yield from _edits(item)
    for each in item.contributors:
        yield from _made_of(each)


def _made_of(found: Contributors) -> Iterator[RenderableType]:
    """The rows of a dataset that a row of a model was made of, and the query for them."""
    dataset = safe(found.dataset)
    if found.rows is None:
        yield f"[bold]Made of[/] rows of {dataset}, which cannot be told: [red]{safe(found.error)}[/]"
    else:
        later = f"; {count(found.later or 0, 'more row')} came later" if found.later else ""
        yield f"[bold]Made of[/] {count(found.rows, 'row')} of {dataset}{later}"
    for note in found.notes:
        yield f"  [yellow]{safe(note)}[/]"
    if found.items:
        shown = table("raw record", "row", "version", "read", "its own passport")
        for row in found.items:
            back = command(f"row {found.dataset} --raw {row.id}")
            shown.add_row(safe(row.id), safe(row.seq), safe(row.version), moment(row.ingested_at), back)
        yield shown
    yield f"  {'all of them' if found.error is None else 'the query'}: {safe(found.sql)}"


def _record(item: Passport) -> dict[str, Any]:
    raw, schema = item.raw, item.raw.schema_
    held = {
        "topic": f"{raw.size_bytes} bytes: {_bytes(raw.value)}",
        "lake": "its bytes are gone from the topic; the fields below are those of the lake",
        "nowhere": "gone: neither the topic nor the lake has it any more",
    }
    columns = ", ".join(f"{each.name} {_type(each.type)}" for each in (schema.fields or ())) if schema else ""
    return {
        "raw record": f"{raw.topic} partition {raw.partition} offset {raw.offset}, {moment(raw.timestamp)}",
        "raw bytes": held.get(raw.held, raw.held),
        "key": _bytes(raw.key) if raw.key else None,
        "headers": ", ".join(f"{name}={_bytes(value)}" for name, value in raw.headers) or None,
        "schema": f"{schema.id}: {columns or 'unknown to the registry'}" if schema else "it names none",
        "source": ", ".join(
            filter(None, (item.origin.type, item.origin.place, item.origin.op, _since(item.origin.changed_at)))
        ),
        "lake": item.lake.file or item.lake.detail or item.lake.state,
    }


def _made_by(item: Passport) -> dict[str, Any]:
    version = item.version
    if version is None:
        return {"dataset version": "not known"}
    applied = f"applied by {version.applied_by}, {moment(version.applied_at)}"
    return {
        "dataset version": f"{version.version}, generation {version.generation}, {applied}",
        "tests": f"not run: {version.tests_skipped}" if version.tests_skipped else None,
        "sql": version.sql or "none: rows pass as they are",
        "checks": ", ".join(_check(check) for check in version.checks) or "none",
        "run": f"{item.run.run}, {item.run.state}" if item.run else None,
    }


def _legs(item: Passport) -> RenderableType:
    shown = table("stage", "reads", "at offset", "done", "committed", "version", "instance")
    for leg in item.legs:
        offsets = ", ".join(map(str, leg.offsets[:5])) + (" ..." if len(leg.offsets) > 5 else "")
        done = "yes" if leg.done else "[yellow]no[/]" if leg.offsets else NOTHING
        facts = (moment(leg.committed_at), leg.version, leg.instance)
        shown.add_row(safe(leg.stage), safe(leg.topic), offsets or NOTHING, done, *map(safe, facts))
    return shown


def _rows(item: Passport) -> Iterator[RenderableType]:
    for each in item.rows:
        mark = ", asked for" if each.matched and len(item.rows) > 1 else ""
        hidden = "" if each.shown else ", [yellow]not shown by the view[/]"
        place = f"{each.loaded.table}, loaded from partition {each.loaded.partition} offset {each.loaded.offset}"
        yield f"[bold]Row {each.seq}[/] in {safe(place)}{mark}{hidden}; flags: {safe(', '.join(each.flags) or 'none')}"
        yield _facts(each.fields, "column", every=True)


def _set_aside(item: Passport) -> Iterator[RenderableType]:
    for each in item.quarantined:
        cause = " ".join(filter(None, (each.rule, each.column)))
        yield (
            f"[bold]Quarantined[/] as {safe(each.id)} by {safe(each.stage)}: [red]{safe(each.reason)}[/] {safe(cause)}, "
            f"{safe(each.detail)}; {safe(each.state)}"
        )
        if each.acted_by:
            yield f"  {safe(each.state)} by {safe(each.acted_by)}, {moment(each.acted_at)}: {safe(each.because)}"
        for became in each.became:
            yield f"  read anew: {command(f'row {item.dataset} --raw {became}')}"


def _edits(item: Passport) -> Iterator[RenderableType]:
    for each in item.edits:
        yield (
            f"[bold]Resubmitted[/] from quarantine as {safe(each.id)} ([red]{safe(each.reason)}[/] {safe(each.detail)}) by "
            f"{safe(each.acted_by)}, {moment(each.acted_at)}: {safe(each.because)}"
        )
        yield f"  edit: {safe(each.edit or 'none')}; what it was: {command(f'quarantine show {item.dataset} {each.id}')}"


def _facts(values: dict[str, Any], name: str = "fact", *, every: bool = False) -> RenderableType:
    return tables.pairs(name, {key: value for key, value in values.items() if every or value is not None})


def _bytes(value: str | None) -> str:
    """The beginning of bytes that travel as base64: text where they are text, with the others as escapes."""
    if value is None:
        return NOTHING
    content = b64decode(value)
    more = f" ... ({count(len(content), 'byte')}, all of them with -o json)" if len(content) > _BYTES_SHOWN else ""
    return "".join(chr(b) if 32 <= b < 127 and b != 92 else f"\\x{b:02x}" for b in content[:_BYTES_SHOWN]) + more


def _type(avro: Any) -> str:
    """An Avro type in short: its logical name, or how it is written."""
    if isinstance(avro, list):
        return "|".join(_type(each) for each in avro)
    if isinstance(avro, dict):
        return str(avro.get("logicalType") or (avro["type"] if isinstance(avro.get("type"), str) else json.dumps(avro)))
    return str(avro)


def _check(check: dict[str, Any]) -> str:
    return f"{check.get('name') or check.get('check')} ({check.get('severity', 'reject')})"


def _since(changed_at: str | None) -> str | None:
    return f"changed there {changed_at}" if changed_at else None
