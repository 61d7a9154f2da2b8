"""Tells how the table of a generation is called, and which generation a view of the warehouse shows.

The loader makes such tables and views, the gateway looks at them.
"""

import re
from typing import Final

_MARK: Final = "__g"
_OF_GENERATION: Final = re.compile(rf"FROM\s+`?\w+`?\.`?\w+{_MARK}(\d+)`?")


def table_name(name: str, generation: int) -> str:
    """The table that holds a generation of a dataset. `name` is that of its view, with or without the domain in front."""
    return f"{name}{_MARK}{generation}"


def shown_generation(selects: str | None) -> int | None:
    """The generation whose table a view selects from; None when there is no view, or one of something else."""
    found = _OF_GENERATION.search(selects or "")
    return int(found[1]) if found else None
