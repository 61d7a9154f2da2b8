"""How the difference between two versions of a dataset file is shown."""

import difflib
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.console import RenderableType

from headrace.cli import tables
from headrace.cli.render import command, count, safe
from headrace.client import Affected, Applied, Change, Impact, Ledger, Plan

_MARKS: Final = {"added": "[green]+[/]", "removed": "[red]-[/]", "changed": "[yellow]~[/]"}


def plans(items: Sequence[Plan]) -> Iterator[RenderableType]:
    """What applying each file would do, and the sum."""
    for plan in items:
        yield from _plan(plan)
    if any(plan.refusals for plan in items):
        yield "[bold red]It cannot be applied as it is.[/]"
        return
    new = sum(plan.current_version is None for plan in items)
    changed = sum(plan.changes_something for plan in items) - new
    if new or changed:
        same = len(items) - new - changed
        yield f"Plan: [green]{new} new[/], [yellow]{changed} changed[/], {same} unchanged. Next: {command('apply')}"
    else:
        yield f"No changes: {count(len(items), 'dataset')} as live."


def applied(items: Sequence[Applied], books: Sequence[Ledger]) -> Iterator[RenderableType]:
    """What applying each file did, and where the rows went of those that were waited for."""
    for item in items:
        mark, did = ("[green]✓[/]", "applied") if item.changed else ("[dim]=[/]", "unchanged")
        yield f"{mark} [bold]{safe(item.name)}[/] version {item.version}, generation {item.generation}: {did}"
        yield from _warnings(item.warnings)
    if books:
        yield from tables.ledgers(books)
    elif items:
        yield f"See it move: {command('status --watch')}"


def _plan(plan: Plan) -> Iterator[RenderableType]:
    name = f"[bold]{safe(plan.dataset)}[/]"
    if not plan.changes_something:
        yield f"[dim]=[/] {name} version {plan.current_version}: unchanged"
        yield from _warnings(plan.warnings)
        return
    if plan.current_version is None:
        yield f"[green]+[/] {name}: new, version {plan.next_version}"
    else:
        yield f"[yellow]~[/] {name} version {plan.current_version} → {plan.next_version}"
        for change in plan.changes:
            yield from _change(change)
        yield from _impact(plan.impact)
    if plan.needs_generation:
        yield "    [yellow]It needs a new generation: new tables beside the live ones, filled from the start.[/]"
    if plan.tests_passed:
        yield f"    [green]✓[/] {count(plan.tests_passed, 'test')} passed"
    for refusal in plan.refusals:
        yield f"    [bold red]refused[/] {safe(refusal.detail)}"
    yield from _warnings(plan.warnings)


def _impact(impact: Impact) -> Iterator[RenderableType]:
    columns = [*map(_affected, impact.columns), *([f"others through * {impact.others}"] if impact.others else [])]
    readers = [
        f"{reader.dataset} ({', '.join([*reader.columns, *reader.checks]) or 'reads them'})"
        for reader in impact.readers
    ]
    facts = {
        "concerns": ", ".join(columns),
        "rules": "; ".join(map(_affected, impact.rules)),
        "read by": ", ".join(readers),
        "reached": ", ".join(impact.reached),
    }
    for name, value in facts.items():
        if value:
            yield f"    [dim]{name:8}[/] {safe(value)}"


def _affected(each: Affected) -> str:
    return f"{each.name} {each.kind}" if each.kind != "changed" else each.name


def _warnings(warnings: Sequence[str]) -> Iterator[RenderableType]:
    for warning in warnings:
        yield f"    [yellow]warning[/] {safe(warning)}"


def _change(change: Change) -> Iterator[RenderableType]:
    mark = _MARKS.get(change.kind, "?")
    breaking = " [bold red]breaking[/]" if change.breaking else ""
    why = f" [dim]{safe(change.why)}[/]" if change.why else ""
    before, after = _text(change.before), _text(change.after)
    if "\n" in before or "\n" in after:
        yield f"    {mark} {safe(change.path)}{breaking}{why}"
        yield from _lines(before, after)
        return
    value = {"added": after, "removed": before}.get(change.kind, f"{before} → {after}")
    yield f"    {mark} {safe(change.path)}: {safe(value)}{breaking}{why}"


def _lines(before: str, after: str) -> Iterator[RenderableType]:
    for line in difflib.ndiff(before.splitlines(), after.splitlines()):
        match line[:2]:
            case "- ":
                yield f"        [red]{safe(line)}[/]"
            case "+ ":
                yield f"        [green]{safe(line)}[/]"
            case "  ":
                yield f"        [dim]{safe(line)}[/]"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
