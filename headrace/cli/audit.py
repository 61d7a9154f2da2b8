"""Commands for the audit log: ls, show, verify, export. What is asked of it is in it, too."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import RenderableType

from headrace.audit import Chain, Entry, entry_of, verified
from headrace.cli import files
from headrace.cli.quarantine_export import ExportFormat
from headrace.cli.render import NOTHING, Format, Output, command, count, emit, moment, note, number, safe, table
from headrace.cli.session import session_of
from headrace.cli.source_control import moment_given
from headrace.client import AuditChain, AuditedAct, AuditedActInFull, AuditFault, AuditVerification
from headrace.client.groups.audit import Wanted
from headrace.errors import HeadraceError

app = typer.Typer(no_args_is_help=True, help="Who did what through the gateway, when, from where, and how it ended.")

_PAGE: Final = 500
_COLORS: Final = {"done": "green", "refused": "yellow", "failed": "red", "broken-off": "red", "unknown": "bold red"}


class Outcome(StrEnum):
    """How an act ended."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    BROKEN_OFF = "broken-off"
    UNKNOWN = "unknown"


Actor = Annotated[str | None, typer.Option("--actor", help="Only what this one did, by name.", show_default=False)]
Action = Annotated[
    str | None,
    typer.Option("--action", help="Only actions that contain this, such as /query or sign-in.", show_default=False),
]
OfDataset = Annotated[
    str | None, typer.Option("--dataset", help="Only what was about this dataset.", show_default=False)
]
Containing = Annotated[str | None, typer.Option("--text", help="Only what contains this text.", show_default=False)]
Since = Annotated[
    str | None, typer.Option("--since", help="Only what began then or later, in UTC.", show_default=False)
]
Until = Annotated[str | None, typer.Option("--until", help="Only what began before, in UTC.", show_default=False)]


@app.command("ls")
def ls(
    context: typer.Context,
    actor: Actor = None,
    action: Action = None,
    dataset: OfDataset = None,
    outcome: Annotated[
        Outcome | None, typer.Option("--outcome", help="Only what ended like this.", show_default=False)
    ] = None,
    text: Containing = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most acts to show.")] = 50,
    output: Output = Format.TABLE,
) -> None:
    """List what was done, the newest first.

    An outcome that is unknown: it goes on, or its gateway died before the end was written.

    Examples:

        headrace audit ls --dataset nyc.flights --since 2026-01-01
        headrace audit ls --outcome refused --action sign-in
    """
    wanted = _wanted(actor, action, dataset, text, since, until)
    with session_of(context).client() as client:
        found = list(islice(client.audit.list(outcome=outcome, page=min(limit, _PAGE), **wanted), limit))
    emit(found, output, lambda: _listed(found, limit))


@app.command("show")
def show(
    context: typer.Context,
    identity: Annotated[str, typer.Argument(metavar="ID", help="As `audit ls` shows it.")],
    output: Output = Format.TABLE,
) -> None:
    """Show one act in full: what was asked for, before and after, and its places in the chain.

    Examples:

        headrace audit show 24d2fa7229014f7a08f7d6843630af42
    """
    with session_of(context).client() as client:
        found = client.audit.get(identity)
    emit(found, output, lambda: _shown(found))


@app.command("verify")
def verify(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Check lines of JSON that were exported, without a gateway.", show_default=False),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Check that every entry is what was written, and that none is gone. Exits with 1 when something is wrong.

    A file says nothing of what was cut off at its end: for that, the gateway compares with the heads in Kafka.

    Examples:

        headrace audit verify
        headrace audit verify --file audit.ndjson
    """
    if file is not None:
        found = _of_file(file)
    else:
        with session_of(context).client() as client:
            found = client.audit.verify()
    emit(found, output, lambda: _verified(found, anchored=file is None))
    if not found.ok:
        raise typer.Exit(1)


@app.command("export")
def export(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Where to write; - for standard output.", show_default=False)],
    form: Annotated[
        ExportFormat, typer.Option("--format", help="Lines of JSON, which can be verified, or CSV.")
    ] = ExportFormat.NDJSON,
    actor: Actor = None,
    action: Action = None,
    dataset: OfDataset = None,
    text: Containing = None,
    since: Since = None,
    until: Until = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write the entries to a file, chain by chain. To verify them later, use no filter but --until.

    Examples:

        headrace audit export --until 2027-01-01 --out audit-2026.ndjson
        headrace audit export --actor ada --format csv --out ada.csv
    """
    wanted = _wanted(actor, action, dataset, text, since, until)
    with session_of(context).client() as client:
        files.write_lines(out, client.audit.export(form.value, **wanted), force=force)
    if form is ExportFormat.NDJSON and str(out) != "-":
        note(f"  check it: {command(f'audit verify --file {out}')}")


def _wanted(
    actor: str | None, action: str | None, dataset: str | None, text: str | None, since: str | None, until: str | None
) -> Wanted:
    return {
        "actor": actor,
        "action": action,
        "dataset": dataset,
        "text": text,
        "since": moment_given("--since", since).isoformat() if since else None,
        "until": moment_given("--until", until).isoformat() if until else None,
    }


def _of_file(path: Path) -> AuditVerification:
    """What becomes of checking a file. Errors: HeadraceError."""
    try:
        with path.open(encoding="utf-8") as lines:
            chains = list(verified(_entries(path, lines), None, time.time_ns() // 1000))
    except (OSError, UnicodeDecodeError) as error:
        raise HeadraceError(f"{path} cannot be read: {error}.") from error
    return AuditVerification(
        ok=all(each.finding is None for each in chains),
        entries=sum(each.entries for each in chains),
        chains=[_chain(each) for each in chains],
    )


def _chain(chain: Chain) -> AuditChain:
    found = chain.finding
    fault = None if found is None else AuditFault(kind=found.kind, seq=found.seq, message=found.message)
    return AuditChain(writer=chain.writer, entries=chain.entries, finding=fault)


def _entries(path: Path, lines: Iterable[str]) -> Iterator[Entry]:
    for place, line in enumerate(lines, 1):
        try:
            yield entry_of(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            detail = f"line {place} is no entry of an audit log, as headrace audit export --format ndjson writes them"
            raise HeadraceError(f"{path}: {detail}.") from error


def _listed(found: Sequence[AuditedAct], limit: int) -> Iterator[RenderableType]:
    if not found:
        yield "Nothing of that kind was done."
        return
    shown = table("when", "who", "action", "datasets", "from", "outcome", "id")
    for each in found:
        outcome = f"[{_COLORS.get(each.outcome, 'red')}]{safe(each.outcome)}[/]"
        status = f" {each.status}" if each.status else ""
        shown.add_row(
            moment(each.at),
            safe(each.actor or NOTHING),
            safe(each.action),
            safe(", ".join(each.datasets) or NOTHING),
            safe(each.address),
            f"{outcome}{status}",
            safe(each.id),
        )
    yield shown
    if len(found) == limit:
        yield f"There may be more: {command(f'audit ls --limit {limit * 10}')}"


def _shown(act: AuditedActInFull) -> Iterator[RenderableType]:
    yield f"[bold]{safe(act.action)}[/] {safe(act.outcome)} {act.status or ''}".rstrip()
    told: dict[str, Any] = {
        "when": f"{moment(act.at)} to {moment(act.ended_at)}",
        "who": f"{act.actor or 'nobody who had signed in'} {act.actor_id} {act.credential}".rstrip(),
        "from": f"{act.address} {act.user_agent}",
        "request": act.request_id,
        "datasets": ", ".join(act.datasets) or NOTHING,
    }
    for name, value in told.items():
        yield f"  {name:<10}{safe(value)}"
    if act.details:
        yield safe(json.dumps(act.details, indent=2, ensure_ascii=False))
    for entry in act.entries:
        yield f"  {safe(entry.phase):<10}entry {entry.seq} of {safe(entry.writer)}, hash {safe(entry.hash)}"


def _verified(found: AuditVerification, *, anchored: bool) -> Iterator[RenderableType]:
    chains = count(len(found.chains), "chain")
    entries = f"{number(found.entries)} {'entry' if found.entries == 1 else 'entries'}"
    if found.ok:
        yield f"[green]✓[/] {entries} in {chains}: all as they were written"
    broken = [each for each in found.chains if each.finding is not None]
    for each in broken:
        assert each.finding is not None
        yield f"[bold red]{safe(each.finding.kind)}[/] in chain [bold]{safe(each.writer)}[/]: {safe(each.finding.message)}"
    if broken:
        yield f"{len(broken)} of {chains} with {entries} cannot be trusted from there on."
    if found.unproven:
        yield (
            f"{number(found.unproven)} stand behind the newest anchored head: a second's worth where a gateway runs, "
            "for ever where one was killed. These could be changed or cut off unseen."
        )
    if not anchored:
        yield "Whether entries were cut off at the end of a chain, a file cannot tell; the gateway can."
