"""Exports and their schedules, as tables for a person."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType

from headrace.cli.render import NOTHING, command, moment, number, safe, table
from headrace.client.results.exports import Export, ExportSchedule

_COLOURS = {"done": "green", "failed": "red", "running": "yellow", "queued": "yellow"}


def several(found: Sequence[Export]) -> Iterator[RenderableType]:
    """Exports in a list."""
    if not found:
        yield f"No exports. Make one: {command('export start DATASET')}"
        return
    made = table("id", "dataset", "format", "state", "rows", "size", "created", "owner", right=("rows", "size"))
    for each in found:
        made.add_row(
            safe(each.id), safe(each.dataset), safe(each.format), _state(each), _rows(each), size(each.size_bytes),
            moment(each.created_at), safe(each.owner),
        )  # fmt: skip
    yield made


def one(found: Export) -> Iterator[RenderableType]:
    """An export with all that is known of it."""
    yield f"[bold]{safe(found.id)}[/]  {safe(found.dataset)} as {safe(found.format)}: {_state(found)}"
    yield f"rows      {_rows(found)}, {size(found.size_bytes)}"
    if found.error:
        yield f"error     {safe(found.error)}"
    if found.location:
        yield f"location  {safe(found.location)}"
    if found.expires_at:
        yield f"kept to   {moment(found.expires_at)}"
    told = found.manifest or {}
    if told.get("masked_columns"):
        yield f"masked    {safe(', '.join(told['masked_columns']))}"
    if told:
        yield f"complete  {safe(told.get('complete_through') or '; '.join(told.get('waiting_for', ())) or NOTHING)}"


def schedules(found: Iterable[ExportSchedule]) -> Iterator[RenderableType]:
    """Schedules in a list."""
    made = table("id", "dataset", "format", "cron", "time zone", "next", "last export", "owner")
    for each in found:
        made.add_row(
            safe(each.id), safe(each.dataset), safe(each.format), safe(each.cron), safe(each.timezone),
            "paused" if each.paused else moment(each.next_at), safe(each.last_export), safe(each.owner),
        )  # fmt: skip
    if made.row_count:
        yield made
    else:
        yield f"No schedules. Make one: {command('export schedule add DATASET --cron TEXT')}"


def size(size_bytes: int) -> str:
    """So many bytes, in megabytes."""
    return number(size_bytes / 1e6, "MB")


def _rows(found: Export) -> str:
    if found.state == "running" and found.estimated_rows:
        return f"{found.rows:,} of {found.estimated_rows:,}"
    return number(found.rows)


def _state(found: Export) -> str:
    colour = _COLOURS.get(found.state)
    return f"[{colour}]{safe(found.state)}[/]" if colour else safe(found.state)
