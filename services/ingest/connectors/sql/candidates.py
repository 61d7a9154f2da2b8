"""Which columns look as if rows could be read by them: pure judgement over what the catalog says."""

import re
from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from services.ingest.connectors.sql.databases import Indexes
from services.ingest.connectors.sql.statements import Column

_CHANGED: Final = re.compile(r"(updated|modified|changed|last_?(update|modified|change))", re.IGNORECASE)


def cursors(columns: Sequence[Column], indexes: Indexes) -> list[str]:
    """The columns that later rows have larger values in, the best first.

    A moment of change tells of updates, too; a number that the database gives tells of new rows only. Moments without an
    index are left out: each look would read the whole table.
    """
    moments = [
        column.name for column in columns if column.name in indexes.indexed and pa.types.is_timestamp(column.type)
    ]
    changed = [name for name in moments if _CHANGED.search(name)]
    return list(dict.fromkeys([*changed, *indexes.numbered, *moments]))
