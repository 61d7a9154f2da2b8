"""What a shell offers when Tab is pressed: names of datasets and contexts. Quick, and silent when anything is amiss."""

from contextlib import suppress
from typing import Final

import typer

from headrace.cli.session import Session
from headrace.client.contexts import ContextFile
from headrace.errors import HeadraceError

_PATIENCE_S: Final = 1.0  # nobody waits longer for a shell
_MOST: Final = 200


def dataset_names(context: typer.Context, incomplete: str) -> list[str]:
    """The datasets of the gateway that the command line so far names."""
    with suppress(HeadraceError, OSError):
        given = context.find_root().params
        session = context.find_object(Session) or Session()
        chosen = Session(
            given.get("url"), (given.get("token") or "").strip() or None, given.get("context_name"), session.transport
        )
        with chosen.client(timeout_s=_PATIENCE_S, retries=0) as client:
            return [each.name for each in client.datasets.list() if each.name.startswith(incomplete)][:_MOST]
    return []


def context_names(incomplete: str) -> list[str]:
    """The contexts of this person."""
    with suppress(HeadraceError, OSError):
        return [name for name in ContextFile.of_user().names if name.startswith(incomplete)]
    return []
