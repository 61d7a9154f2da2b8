"""What the gateway keeps and shows of what sources keep outside of Headrace."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class HoldingEntry:
    """A record of `_headrace.source-holdings`, without what only its connector needs. Fields: `schemas/source_holding.avsc`."""

    name: str
    dataset: str
    state: str
    at: datetime
    because: str = ""
    message: str = ""
