"""Commands that run the local stack: up, down, doctor."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import RenderableType

from headrace.cli import stack
from headrace.cli.progress import ComponentBoard
from headrace.cli.render import Format, Output, command, count, emit, moment, number, safe, table

if TYPE_CHECKING:
    from deploy.local.component import ComponentState
    from deploy.local.doctor import Finding

_STATES: Final = {"running": "green", "dead": "bold red"}
_LEVELS: Final = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "fail": "[bold red]✗[/]"}


def up(
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A component; repeat it for several.", show_default="all")
    ] = None,
    more: Annotated[
        list[str] | None, typer.Option("--with", help="An optional component: connect.", show_default=False)
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Start the local stack: Kafka, schema registry, warehouse and the six services.

    What runs already is left alone, and data of earlier runs is kept. Ports, memory and folders are set in the
    environment: HEADRACE_STACK_GATEWAY_PORT, HEADRACE_STACK_DATA_DIR and so on.

    Datasets that capture changes (postgres_cdc, mariadb_cdc, mysql_cdc) need Kafka Connect, which takes about 1 GB: ask for it
    once with --with connect; from then on it belongs to this stack, and is started with it.

    Examples:

        headrace up
        headrace up --only kafka --only registry
        headrace up --with connect
    """
    local = stack.module()
    with ComponentBoard() as board:
        started = local.up(stack.settings(), only, board.update, extra=more or ())
    emit({"components": started, "urls": stack.urls()}, output, lambda: _running(started))


def down(output: Output = Format.TABLE) -> None:
    """Stop what was started here. The data is kept.

    Examples:

        headrace down
    """
    local = stack.module()
    with ComponentBoard() as board:
        stopped = local.down(stack.settings(), board.update)
    emit({"stopped": stopped}, output, lambda: [f"Stopped: {', '.join(stopped)}." if stopped else "Nothing ran here."])


def components(states: Sequence["ComponentState"]) -> Iterator[RenderableType]:
    """Every process of the stack."""
    shown = table("component", "state", "port", "pid", "memory", "since", "log", right=("port", "pid", "memory"))
    for each in states:
        shown.add_row(
            f"[bold]{safe(each.name)}[/]",
            f"[{_STATES.get(each.state, 'dim')}]{each.state}[/]",
            str(each.port),
            safe(each.pid),
            number(each.memory_mb, "MB"),
            moment(each.since),
            safe(each.log),
        )
    yield shown


def _running(states: Sequence["ComponentState"]) -> Iterator[RenderableType]:
    yield from components(states)
    yield f"The gateway is at {stack.settings().gateway_url}."
    yield f"See data move with {command('demo')}, stop with {command('down')}."


def doctor(output: Output = Format.TABLE) -> None:
    """Examine this machine and the local stack, and say what to do about each fault. Exits with 1 when there is one.

    Examples:

        headrace doctor
    """
    findings: list[Finding] = stack.module("doctor").doctor(stack.settings())
    emit({"findings": findings}, output, lambda: _found(findings))
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)


def _found(findings: Sequence["Finding"]) -> Iterator[RenderableType]:
    shown = table("", "what", "finding")
    for finding in findings:
        todo = f"\n[bold]→[/] {safe(finding.todo)}" if finding.todo else ""
        shown.add_row(_LEVELS[finding.level], f"[bold]{safe(finding.what)}[/]", f"{safe(finding.detail)}{todo}")
    yield shown
    failures = sum(finding.level == "fail" for finding in findings)
    yield f"[bold red]{count(failures, 'fault')} to repair.[/]" if failures else "[green]Nothing is in the way.[/]"
