"""Tells which generation of a dataset a view of the warehouse shows: the loader makes such views, the gateway looks at them."""

import re
from typing import Final

_OF_GENERATION: Final = re.compile(r"FROM\s+`?\w+`?\.`?\w+__g(\d+)`?")


def shown_generation(selects: str | None) -> int | None:
    """The generation whose table a view selects from; None when there is no view, or one of something else."""
    found = _OF_GENERATION.search(selects or "")
    return int(found[1]) if found else None
