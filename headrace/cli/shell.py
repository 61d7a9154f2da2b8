"""How the program ends: which failure becomes which sentence and which exit code.

0 done; 1 it failed, or the command line is wrong; 2 `plan` has found changes. A closed pipe ends it with 141 and
Ctrl-C with 130, as a shell expects.
"""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from headrace.cli.render import broken_pipe, command, note, safe
from headrace.client import ApiError, NotSettled, Unreachable
from headrace.errors import HeadraceError


class Shell(TyperGroup):
    """The root command: what its commands raise ends here."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().make_context(*args, **kwargs)
        except typer.TyperException as error:
            raise _plain_failure(error) from None

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except HeadraceError as error:
            report(error)
            raise typer.Exit(1) from error
        except BrokenPipeError:
            broken_pipe()
        except typer.TyperException as error:
            raise _plain_failure(error) from None


def _plain_failure(error: typer.TyperException) -> typer.TyperException:
    """A misspelt option must not look like a plan with changes."""
    error.exit_code = 1
    return error


def report(error: HeadraceError) -> None:
    """Say what happened, where, and what to do next."""
    note(f"[bold red]Error:[/] {safe(error)}")
    for step in _next_steps(error):
        note(f"  [dim]→[/] {step}")


def _next_steps(error: HeadraceError) -> list[str]:
    match error:
        case ApiError(status=401):
            return [
                "Give a token with [bold]--token[/] or HEADRACE_TOKEN, or keep one in a context: "
                f"{command('context add NAME URL')}.",
                "The local stack's is found by itself in the folder the stack was started in, "
                "or through HEADRACE_STACK_DATA_DIR.",
            ]
        case ApiError(status=403):
            return ["Ask an administrator to grant this token what the call needs."]
        case ApiError(status=404):
            return [f"List what there is: {command('status')}"]
        case ApiError(status=status) if status >= 500:
            return [f"Look at the gateway's log, or run {command('doctor')}."]
        case NotSettled():
            return [
                f"See which stage is behind: {command('status')}",
                f"Look for what is down: {command('doctor')}",
            ]
        case Unreachable():
            return [
                f"Start the local stack: {command('up')}",
                f"or point to another gateway with --url or HEADRACE_URL, or with {command('context use NAME')}.",
            ]
    return []
