"""The reference `docs/cli.md` is generated from the program, and its examples are commands the program understands."""

import shlex
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from headrace.cli.main import app

DOCS = Path(__file__).resolve().parents[3] / "docs" / "cli.md"
EXAMPLES = [
    line.strip() for line in DOCS.read_text().splitlines() if line.startswith("    headrace ")
]  # the usage lines are prompts and begin with $


def test_the_reference_is_up_to_date() -> None:
    generated = subprocess.run(
        [sys.executable, "-m", "typer", "headrace.cli.main", "utils", "docs", "--name", "headrace"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert generated.strip() == DOCS.read_text().strip(), (
        "run: typer headrace.cli.main utils docs --name headrace --output docs/cli.md"
    )


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_understood(example: str) -> None:
    words = list(takewhile(lambda word: word not in ("|", "<"), shlex.split(example)))[1:]
    command = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        command = command.commands[words.pop(0)]
    command.make_context("headrace", words)


def test_there_are_examples_of_every_command() -> None:
    assert {example.split()[1] for example in EXAMPLES} >= {"up", "down", "doctor", "demo", "init", "validate", "plan",
        "apply", "status", "tail", "ledger", "query", "row", "version", "quarantine", "contract",
        "secret", "runs", "source", "test"}  # fmt: skip
