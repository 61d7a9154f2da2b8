"""What the program knows of the local stack: the only place that imports it, and only when it is needed."""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from deploy.local.settings import StackSettings

HOW_TO_INSTALL: Final = "It comes with the extra 'local': uv sync --extra local, or pip install 'headrace[local]'."


def settings() -> "StackSettings":
    """What is set about the local stack. Errors: HeadraceError when a HEADRACE_STACK_* variable is wrong."""
    from deploy.local.settings import StackSettings

    try:
        return StackSettings()
    except ValidationError as error:
        wrong = "; ".join(
            f"HEADRACE_STACK_{'_'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}"
            for fault in error.errors()
        )
        raise HeadraceError(f"The environment sets the local stack wrongly: {wrong}.") from error


def module(name: str = "stack") -> ModuleType:
    """A module of the local stack. Errors: HeadraceError when the extra it needs is not installed."""
    try:
        return import_module(f"deploy.local.{name}")
    except ImportError as error:
        raise HeadraceError(f"The local stack cannot run here: {error}. {HOW_TO_INSTALL}") from error


def admin_token() -> str | None:
    """The administrator's token of the local stack, when it was ever started from here."""
    from deploy.local import credentials

    try:
        known = credentials.read(settings().home)
    except (OSError, ValueError):
        return None
    return known.admin_token.get_secret_value() if known else None


def files_dir() -> Path:
    """Where a relative path of a dataset file starts in the local stack."""
    return settings().files


def urls() -> dict[str, str]:
    """Where the parts of the local stack that people look at are."""
    known = settings()
    return {
        "gateway": known.gateway_url,
        "API docs": f"{known.gateway_url}/docs",
        "HTTP push": known.ingest_url,
        "warehouse": known.warehouse_url,
        "registry": known.registry_url,
        "Kafka": known.bootstrap_servers,
        "logs": str(known.logs),
    }
