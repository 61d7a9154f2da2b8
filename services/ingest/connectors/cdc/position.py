"""How far a capture has been read: the position of the connectors, and its text."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """The next offset in the topic of a snapshot's number; `topic` is the id the brokers gave it, as a name can be used again."""

    snapshot: int
    offset: int = 0
    topic: str = ""

    def to_json(self) -> str:
        """The text `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Place":
        """The place in `text`."""
        return cls(**json.loads(text))
