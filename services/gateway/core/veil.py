"""Decides how a text is shown to somebody who may not see all the datasets that it names."""

from collections.abc import Callable
from typing import Any, Final

from services.gateway.core.catalog_entry import DATASET_NAME

HIDDEN: Final = "a dataset you may not see"


def veiled(value: Any, hidden: Callable[[str], bool]) -> Any:
    """A JSON value whose texts, and names of members, name no dataset that is hidden."""
    if isinstance(value, str):
        return DATASET_NAME.sub(lambda found: HIDDEN if hidden(found[0]) else found[0], value)
    if isinstance(value, dict):
        return {veiled(name, hidden): veiled(each, hidden) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [veiled(each, hidden) for each in value]
    return value
