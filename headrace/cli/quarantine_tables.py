"""What a person sees of quarantined rows: what is wrong with them, one of them, what was asked and what became of it."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import RenderableType

from headrace.cli.render import command, count, moment, number, safe, table
from headrace.cli.tables import mapping, pairs
from headrace.client import (
    Cluster,
    Fingerprints,
    Quarantine,
    QuarantineAsked,
    QuarantinedRowInFull,
    QuarantineOutcome,
    RowAct,
)

_BARS: Final = "▁▂▃▄▅▆▇█"


def listed(dataset: str, found: Quarantine) -> Iterator[RenderableType]:
    """Quarantined rows: by cause, then one by one."""
    if not found.total:
        yield f"Nothing of {safe(dataset)} is in quarantine."
        return
    yield f"[bold]{safe(dataset)}[/]: {count(found.total, 'row')} in quarantine, by cause"
    yield _by_cause(found.clusters)
    if not found.items:
        return
    rows = table("id", "state", "assigned to", "quarantined at", "reason", "detail")
    for row in found.items:
        facts = (row.id, row.state, row.assigned_to, moment(row.quarantined_at), row.reason, row.detail)
        rows.add_row(*map(safe, facts))
    yield f"{len(found.items):,} of them"
    yield rows
    yield f"See one in full: {command(f'quarantine show {dataset} {found.items[0].id}')}"


def clustered(dataset: str, found: Fingerprints) -> Iterator[RenderableType]:
    """What is wrong with quarantined rows."""
    if not found.items:
        yield f"Nothing of {safe(dataset)} is in quarantine."
        return
    span = f"last {found.hours} h"
    numbers = ("rows", "assigned")
    grid = table(*numbers, "reason", "rule", "column", "shape", "such as", "newest", span, "first ids", right=numbers)
    for each in found.items:
        told = (each.reason, each.rule, each.column, each.shape, ", ".join(each.examples))
        ids = (moment(each.last), _spark(each.trend), ", ".join(each.ids))
        grid.add_row(number(each.rows), number(each.assigned), *map(safe, (*told, *ids)))
    shown = sum(each.rows for each in found.items)
    most = f"; the most frequent have {number(shown)} of them" if shown < found.total else ""
    yield f"[bold]{safe(dataset)}[/]: {count(found.total, 'row')} in quarantine, by what is wrong{most}"
    yield grid


def _by_cause(clusters: Sequence[Cluster]) -> RenderableType:
    numbers = ("rows", "assigned")
    grid = table(*numbers, "stage", "reason", "rule", "column", right=numbers)
    for each in clusters:
        grid.add_row(
            number(each.rows), number(each.assigned), *map(safe, (each.stage, each.reason, each.rule, each.column))
        )
    return grid


def _spark(counts: Sequence[int]) -> str:
    """Counts as a line of bars; a dot is none."""
    most = max(counts, default=0)
    return "".join(_BARS[-(-each * (len(_BARS) - 1) // most)] if each else "·" for each in counts)


def one(row: QuarantinedRowInFull) -> Iterator[RenderableType]:
    """One quarantined row."""
    yield f"[bold]{safe(row.dataset)}[/] {safe(row.id)}: [red]{safe(row.reason)}[/] {safe(row.detail)}"
    facts = {
        "stage": row.stage,
        "rule": row.rule,
        "column": row.column,
        "read from": row.source or f"{row.topic} partition {row.partition} offset {row.offset}",
        "raw offset": row.raw_offset,
        "schema id": row.schema_id,
        "dataset version": f"{row.version}, generation {row.generation}",
        "quarantined at": moment(row.quarantined_at),
        "state": row.state if row.acted_by is None else f"{row.state} by {row.acted_by}, {moment(row.acted_at)}",
        "because": row.because,
        "assigned to": row.assigned_to,
        "edit": row.edit,
    }
    yield pairs("fact", {name: value for name, value in facts.items() if value is not None})
    if row.acts:
        yield _acts(row.acts)
    values = mapping(row.fields)
    if values is not None:
        yield pairs("field", values)
    elif row.value:
        yield f"It could not be decoded. Its bytes, as base64: {safe(row.value)}"


def _acts(acts: Sequence[RowAct]) -> RenderableType:
    """What was done to a row, in order."""
    grid = table("when", "row", "what", "by", "because")
    for each in acts:
        grid.add_row(moment(each.at), safe(each.row), safe(_act(each)), safe(each.by), safe(each.because))
    return grid


def _act(act: RowAct) -> str:
    """What was done, in words."""
    match act.act:
        case "quarantined":
            cause = " ".join(filter(None, (act.reason, act.rule and f"({act.rule})")))
            return f"quarantined by {act.stage}, version {act.version}: {cause}"
        case "assigned":
            return f"assigned to {act.assigned_to}"
        case "loaded":
            return f"loaded as {act.became}"
        case "resubmitted":
            return f"resubmitted, edited: {act.edit}" if act.edit else "resubmitted"
        case "refused":
            return f"refused: {act.detail}"
    return act.act


def asked_for(dataset: str, act: str, asked: QuarantineAsked) -> Iterator[RenderableType]:
    """What is asked of quarantined rows, or would be."""
    if not asked.rows:
        already = {"assign": ", or this person has them all already", "unassign": ", or none is assigned"}.get(act, "")
        yield f"No open row of {safe(dataset)} matches{already}."
        return
    past = {"resubmit": "resubmitted", "discard": "discarded", "assign": "assigned", "unassign": "unassigned"}[act]
    done = f"would be {past}" if asked.request is None else f"are to be {past}"
    yield f"{count(asked.rows, 'row')} of [bold]{safe(dataset)}[/] {done}, by cause"
    yield _by_cause(asked.clusters)
    if asked.tried:
        yield f"{count(asked.tried, 'row')} tried; nothing was changed"
        verdicts = table("rows", "would be", "reason", "such as", "detail", right=("rows",))
        for verdict in asked.verdicts:
            verdicts.add_row(
                number(verdict.rows), *map(safe, (verdict.fate, verdict.reason, verdict.example, verdict.detail))
            )
        yield verdicts


def outcome_of(dataset: str, outcome: QuarantineOutcome) -> Iterator[RenderableType]:
    """What became of quarantined rows."""
    acts = {name: getattr(outcome, name) for name in ("resubmitted", "discarded", "assigned", "unassigned", "refused")}
    yield f"[bold]{safe(dataset)}[/]: " + ", ".join(f"{number(rows)} {act}" for act, rows in acts.items() if rows)
    for each in outcome.refusals:
        yield f"  [red]refused[/] {count(each.rows, 'row')}, such as {safe(each.example)}: {safe(each.detail)}"
    if outcome.resubmitted:
        yield f"See where they went: {command(f'ledger {dataset}')}"
