"""How far a branch has read the dataset it comes from: the position of its source, and the text of that."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True, slots=True)
class Place:
    """The next offset of each partition in the validated topic of a generation.

    Partitions that are missing are read from their start. `snapshot` is the number the dataset file had when reading began.
    `base` is what is added to a row's age in the other dataset, and `youngest` the greatest that came of it; -1 without any.
    """

    dataset: str
    generation: int
    snapshot: int
    offsets: Mapping[str, int]
    base: int = -1
    youngest: int = -1

    def behind(self, reached: Mapping[int, int]) -> "Place":
        """The place once so much more has been read."""
        return replace(self, offsets={**self.offsets, **{str(number): offset for number, offset in reached.items()}})

    def to_json(self) -> str:
        """The text `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Place":
        """The place in `text`."""
        return cls(**json.loads(text))
