"""What a person sees: each answer of the gateway as tables, and what to do next where there is nothing to show."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from rich.console import RenderableType
from rich.text import Text

from headrace.cli.render import NOTHING, cell, command, count, moment, number, plain, safe, table
from headrace.client import (
    Books,
    DatasetStatus,
    Drift,
    DriftDecided,
    Generation,
    Ledger,
    QueryResult,
    Run,
    RunEvent,
    RunStory,
    SourceHolding,
    SourceStatus,
    TailRecord,
)

_NUMBERS: Final = ("Int", "UInt", "Float", "Decimal", "BFloat")
_SOURCES: Final = {"reading": "green", "quiet": "dim", "paused": "yellow"}
_FATES: Final = ("read", "loaded", "filtered", "quarantined", "discarded", "parked", "in flight", "residue")
_STATES: Final = {"active": "green", "paused": "yellow", "retired": "dim"}


class TailStage(StrEnum):
    """A topic of a dataset."""

    RAW = "raw"
    STAGED = "staged"
    TRANSFORMED = "transformed"
    VALIDATED = "validated"
    QUARANTINE = "quarantine"


def status(items: Sequence[DatasetStatus]) -> Iterator[RenderableType]:
    """Every stage of every dataset."""
    if not items:
        yield f"There are no datasets yet.\n  Write one with {command('init')}, then {command('apply -f FILE')}."
        return
    figures = ("rows in", "rows out", "lag", "rows/s", "p50", "p95")
    shown = table("dataset", "state", "stage", *figures, "last commit", right=figures)
    for item in items:
        shown.add_section()
        state = f"[{_STATES.get(item.state, 'red')}]{safe(item.state)}[/], " + ("settled" if item.settled else "moving")
        head, below = [f"[bold]{safe(item.dataset)}[/]", state], ["", _doing(item.source)]
        if not item.stages:
            shown.add_row(*head, "[dim]nothing has moved yet[/]")
        for stage in item.stages:
            latency = stage.latency_ms
            shown.add_row(
                *head,
                safe(stage.stage),
                number(stage.rows_in),
                number(stage.rows_out),
                number(stage.lag_rows),
                number(stage.rate_rows_s),
                number(latency.p50 if latency else None, "ms"),
                number(latency.p95 if latency else None, "ms"),
                moment(stage.last_commit_at),
            )
            head, below = below, ["", ""]
    yield shown
    for item in items:
        if item.source is not None and item.source.because:
            yield f"[bold]{safe(item.dataset)}[/] {_told(item.source)}"
        if item.pinned:
            yield f"[bold]{safe(item.dataset)}[/] pinned by {safe(item.pinned)}"
        rows = {
            "in quarantine": item.quarantined,
            "resubmitted": item.resubmitted,
            "discarded": item.discarded,
            "waiting for their parents": item.parked,
        }
        if any(rows.values()):
            said = ", ".join(f"{number(figure)} {what}" for what, figure in rows.items() if figure)
            yield f"[bold]{safe(item.dataset)}[/] {said}"
    waiting = [(item.dataset, reason) for item in items for reason in item.waiting_for]
    if waiting:
        yield "Not settled yet:"
    for dataset, reason in waiting:
        yield f"  [bold]{safe(dataset)}[/] {safe(reason)}"


def _doing(source: SourceStatus | None) -> str:
    """What a source is doing, in two words."""
    return f"[{_SOURCES.get(source.state, 'red')}]source {safe(source.state)}[/]" if source is not None else ""


def _told(source: SourceStatus) -> str:
    """What there is to know of a source that is not read."""
    by = f" by {safe(source.by)}" if source.by else ""
    return f"source {safe(source.state)}{by} since {moment(source.since)} because: {safe(source.because)}"


def ledger(books: Ledger) -> Iterator[RenderableType]:
    """The books of one dataset: whole, by partition, and what was not loaded by cause."""
    yield f"[bold]{safe(books.dataset)}[/]: {verdict(books)}"
    shown = table("partition", *_FATES, right=("partition", *_FATES))
    for part in books.partitions:
        shown.add_row(str(part.partition), *_fates(part))
    shown.add_section()
    shown.add_row("[bold]all[/]", *(f"[bold]{figure}[/]" for figure in _fates(books)))
    yield shown
    if books.multiplied:
        yield f"{count(books.multiplied, 'row')} more than read: one row became several."
    if books.resubmitted_rows:
        yield f"{count(books.resubmitted_rows, 'row')} left quarantine and were read anew."
    causes = table("set aside", "by", "rows", right=("rows",))
    for fate, by in (
        ("filtered", books.filtered),
        ("quarantined", books.quarantined),
        ("discarded", books.discarded),
        ("parked", books.parked),
    ):
        for cause, rows in sorted(by.items(), key=lambda item: -item[1]):
            causes.add_row(fate, safe(cause), number(rows))
    if causes.row_count:
        yield causes
    if books.quarantined_rows:
        yield f"See the quarantined rows: {command(f'quarantine ls {books.dataset}')}"


def ledgers(all_books: Sequence[Ledger]) -> Iterator[RenderableType]:
    """The books of several datasets, a line each."""
    shown = table("dataset", *_FATES, "verdict", right=_FATES)
    for books in all_books:
        shown.add_row(f"[bold]{safe(books.dataset)}[/]", *_fates(books), verdict(books))
    yield shown


def verdict(books: Ledger) -> str:
    """Whether the books can be trusted, in words."""
    if books.residue or books.hashes_agree is False:
        problem = f"residue of {count(books.residue, 'row')}" if books.residue else "set-hashes differ"
        return f"[bold red]do not trust: {problem}[/]"
    if not books.balanced:
        return "[bold red]the counts do not add up[/]"
    if not books.settled:
        return "[yellow]moving[/]"
    return "[green]settled, books balance[/]"


def _fates(books: Books) -> list[str]:
    residue = f"[bold red]{books.residue:,}[/]" if books.residue else "0"
    rows = (
        books.read,
        books.loaded,
        books.filtered_rows,
        books.quarantined_rows,
        books.discarded_rows,
        books.parked_rows,
        books.in_flight,
    )
    return [*(number(n) for n in rows), residue]


def drift(dataset: str, found: Drift) -> Iterator[RenderableType]:
    """How a source drifts, and what that hits."""
    if not found.items:
        yield f"The source of {safe(dataset)} is what it was: no row is set aside for a column."
    for item in found.items:
        what = "is new" if item.reason == "unknown_field" else "has values of another type"
        yield (
            f"[bold]{safe(item.column)}[/] {what}: {count(item.rows, 'row')} since {moment(item.since)}, first {safe(item.first)}"
            f"{f', {safe(item.place)}' if item.place else ''}"
        )
        hits = item.hits
        readers = [
            f"{each.dataset} ({', '.join([*each.columns, *each.checks]) or 'reads it'})" for each in hits.readers
        ]
        facts = {
            "such as": ", ".join(repr(value) for value in item.examples),
            "likely": item.likely_type,
            "columns": ", ".join([*hits.columns, *(f"{name}?" for name in hits.unsure)]),
            "dropped by": ", ".join(hits.dropped_by),
            "checks": ", ".join(hits.checks),
            "settings": ", ".join(hits.settings),
            "readers": ", ".join(readers),
        }
        yield pairs("hits", {name: value for name, value in facts.items() if value})
    if found.items:
        verbs = (
            "accept|map|leave-out|reject"
            if found.items[0].reason == "unknown_field"
            else "accept|cast|leave-out|reject"
        )
        yield f"Decide: {command(f'drift {verbs} {dataset} {found.items[0].column} --because TEXT')}"
    if found.decided:
        told = {
            name: ", ".join(f"{key} {value}" for key, value in each.items()) for name, each in found.decided.items()
        }
        yield "Decided before"
        yield pairs("column", told)


def drift_decided(dataset: str, decided: DriftDecided) -> Iterator[RenderableType]:
    """What was decided about a column, or would be."""
    done = decided.request is not None
    where = f"version {decided.version}" if decided.changes else f"version {decided.version}, as it was"
    yield f"[bold]{safe(dataset)}[/] {where}: {count(decided.rows, 'row')} {'are' if done else 'would be'} read anew or given up"
    for change in decided.changes:
        yield f"  {safe(change.kind)} {safe(change.path)}: {safe(change.after)}"


def answer(result: QueryResult, *, separators: bool = False) -> Iterator[RenderableType]:
    """The rows of a query. `separators` for figures that are all quantities: a year or an id must not have them."""
    numeric = [column.name for column in result.columns if _is_number(column.type)]
    shown = table(*(column.name for column in result.columns), right=numeric)
    for row in result.rows:
        shown.add_row(*(_figure(value) if separators else cell(value) for value in row))
    if not result.rows:
        yield "No rows."
        return
    yield shown
    took = f" in {number(result.elapsed_ms, 'ms')}" if result.elapsed_ms is not None else ""
    yield f"[dim]{count(len(result.rows), 'row')}{took}[/]"
    if result.truncated:
        yield f"[yellow]There are more than these {count(len(result.rows), 'row')}: ask for more with --limit.[/]"


def tail(dataset: str, stage: TailStage, records: Sequence[TailRecord]) -> Iterator[RenderableType]:
    """The newest records of a topic."""
    if not records:
        yield f"There is nothing in the {stage.value} topic of {safe(dataset)} yet."
        yield f"  See whether its stages move: {command(f'status {dataset}')}"
    for record in records:
        yield record_line(record)


def record_line(record: TailRecord) -> RenderableType:
    """One record on one line."""
    place = Text(f"{record.partition}-{record.offset}", "bold")
    values = json.dumps(plain(record.fields), ensure_ascii=False) if record.error is None else f"({record.error})"
    return Text.assemble(place, "  ", (moment(record.timestamp), "dim"), "  ", Text.from_markup(safe(values)))


def pairs(name: str, values: dict[str, Any]) -> RenderableType:
    """Names and values, a line each."""
    shown = table(name, "value")
    for key, value in values.items():
        shown.add_row(safe(key), cell(value))
    return shown


def mapping(fields: str | dict[str, Any] | None) -> dict[str, Any] | None:
    """The decoded record, which travels as JSON text."""
    if isinstance(fields, str):
        try:
            fields = json.loads(fields)
        except ValueError:
            return None
    return fields if isinstance(fields, dict) else None


def _is_number(warehouse_type: str) -> bool:
    bare = warehouse_type.removeprefix("LowCardinality(").removeprefix("Nullable(")
    return bare.startswith(_NUMBERS)


def _figure(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return cell(value) if value is not None else NOTHING


def holdings(items: Sequence[SourceHolding]) -> Iterator[RenderableType]:
    """What sources keep outside; below it, of each that is not needed any more, why, and what could not be taken away."""
    shown = table("dataset", "kept", "state", "since")
    for item in items:
        state = f"[{'green' if item.state == 'held' else 'yellow'}]{safe(item.state)}[/]"
        shown.add_row(f"[bold]{safe(item.dataset)}[/]", safe(item.name), state, moment(item.at))
    yield shown
    for item in items:
        if item.because:
            yield f"[bold]{safe(item.name)}[/] is being taken away: {safe(item.because)}"
        if item.message:
            yield f"  left: {safe(item.message)}"


def runs(dataset: str, items: Sequence[Run]) -> Iterator[RenderableType]:
    """Full loads, and which of them shows; or backfills, and what they read."""
    if not items:
        yield f"{safe(dataset)} has had no full load (load.mode replace) and no backfill."
        return
    if items[0].since is not None:
        yield _backfills(items)
        return
    figures = ("rows", "loaded", "quarantined", "filtered")
    shown = table("run", "state", "", "begun", *figures, "why", right=("run", *figures))
    for run in items:
        place = "[green]shows[/]" if run.current else "kept" if run.previous else ""
        counts = map(number, (run.rows, run.loaded, run.quarantined, run.filtered))
        shown.add_row(str(run.run), safe(run.state), place, moment(run.begun_at), *counts, safe(run.message))
    yield shown


def generations(dataset: str, items: Sequence[Generation]) -> Iterator[RenderableType]:
    """The generations of a dataset: which is live, which readers see, and how far each has got."""
    figures = ("read", "loaded", "quarantined", "filtered", "behind")
    shown = table("gen", "state", "version", *figures, "since", "by", "why", right=("gen", "version", *figures))
    for each in items:
        state = "[green]live[/]" if each.state == "live" else safe(each.state)
        state += ", [green]shown[/]" if each.shown else ""
        if each.ingested_from or each.ingested_to:
            state += f", a range: {moment(each.ingested_from)} to {moment(each.ingested_to)}"
        gone = each.state == "retired"
        counts = (number(None if gone else getattr(each, name)) for name in figures)
        told = (moment(each.since), safe(each.by), safe(each.because))
        shown.add_row(str(each.generation), state, str(each.version), *counts, *told)
    yield shown
    for each in items:
        if each.problem:
            yield f"[red]generation {each.generation} has stopped:[/] {safe(each.problem)}"
    live = next((each for each in items if each.state == "live"), None)
    if live is not None and not live.shown:
        yield f"Generation {live.generation} is live; the loader has yet to show it."
    for each in items:
        if each.ingested_from or each.ingested_to:
            if each.state == "candidate":
                yield f"Generation {each.generation} holds only a range: " + command(
                    f"diff {dataset} --generation {each.generation}"
                )
        elif each.state == "candidate" and each.caught_up:
            yield f"Generation {each.generation} has caught up. To have readers see it: " + command(
                f"promote {dataset} {each.generation} --because TEXT"
            )


def run(dataset: str, story: RunStory) -> Iterator[RenderableType]:
    """One run: what it came to, how long each part of it took, and what was wrong with rows that were set aside."""
    told, figures = story.run, {name: value for event in story.items for name, value in event.data.items()}
    rate, size = figures.get("rows_per_s"), figures.get("size_bytes")
    read_s, took_s, waited_s = (figures.get(name) for name in ("reading_s", "took_s", "waited_s"))
    loading_s = None if read_s is None or took_s is None or waited_s is None else took_s - read_s - waited_s
    facts = {
        "run": f"{told.run}, {told.state}" + (", shows" if told.current else ", kept" if told.previous else ""),
        "begun": moment(told.begun_at),
        "stretch": f"{_utc(told.since)} to {_utc(told.until)}" if told.since else None,
        "rows": f"{told.rows} read, {told.rejected} set aside, {told.loaded} loaded, {told.quarantined} in quarantine, "
        f"{told.filtered} filtered",
        "size": f"{size / 1e6:.1f} MB" if size is not None else None,
        "rate": f"{rate:.0f} rows/s" if rate is not None else None,
        "waited": _seconds(waited_s),
        "reading": _seconds(read_s),
        "loading": _seconds(loading_s),
        "why": safe(told.message) if told.message else None,
    }
    shown = table("", "")
    for name, value in facts.items():
        if value is not None:
            shown.add_row(name, value)
    yield shown
    if story.set_aside:
        causes = table("set aside by", "reason", "rule", "column", "rows", "the first", right=("rows",))
        for each in story.set_aside:
            cause = map(cell, (each.stage, each.reason, each.rule, each.column))
            causes.add_row(*cause, number(each.rows), safe(each.first))
        yield causes
        yield f"Look at one: {command(f'quarantine show {dataset} {story.set_aside[0].first}')}"


def run_line(event: RunEvent) -> str:
    """What happened to a run, on one line."""
    rate, size = event.data.get("rows_per_s"), event.data.get("size_bytes")
    more = [f"{size / 1e6:.1f} MB"] if size else []
    more += [f"{rate:.0f} rows/s"] if rate else []
    return f"{moment(event.at)}  {event.service:<7} {safe(event.message)}" + (f"  ({', '.join(more)})" if more else "")


def _seconds(took_s: float | None) -> str | None:
    return None if took_s is None else f"{max(took_s, 0.0):.1f} s"


def _backfills(items: Sequence[Run]) -> RenderableType:
    shown = table("run", "state", "from", "to", "begun", "rows", "set aside", "", right=("run", "rows", "set aside"))
    for run in items:
        counts = map(number, (run.rows, run.rejected))
        stretch = map(_utc, (run.since, run.until))
        shown.add_row(str(run.run), safe(run.state), *stretch, moment(run.begun_at), *counts, safe(run.message))
    return shown


def _utc(at: datetime | None) -> str:
    """A time as `source backfill` takes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if at else NOTHING
