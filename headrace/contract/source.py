"""Where a dataset's rows come from: what all sources have in common, and which kinds of them there are.

The settings of a kind are a model that a connector brings: ours are in `services/ingest/connectors`.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache, reduce
from importlib.metadata import EntryPoint, entry_points
from operator import or_
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import Field as Setting
from pydantic import GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema

from headrace.contract.contributing import Contributing
from headrace.contract.drift import Decision, SourceColumn
from headrace.contract.fields import LogicalType
from headrace.contract.schedule import Schedule
from headrace.contract.section import Section

log = logging.getLogger(__name__)

SOURCES: Final = "headrace.sources"
"""The group of entry points. Each has a `source.type` for a name, and a subclass of `SourceSettings`."""

LOOKING: Final = "looking"
"""In the context of a validation: whether somebody only looks at the source, and need not have chosen from what it offers."""

MAX_RECORD_BYTES = 1_000_000
MOST_RECORD_BYTES = 4_000_000  # in quarantine it stands as base64 beside its decoded fields, in one Kafka message


class SourceSettings(Section):
    """The settings of one kind of source. A subclass narrows `type` to a Literal of its one name."""

    ends: ClassVar[bool] = True
    """Whether there is a moment when all of it has been read, so that a whole table can be replaced."""
    changes: ClassVar[bool] = False
    """Whether its rows are changes of rows, so that the file has to say which of them the table keeps."""
    passes_on: ClassVar[bool] = False
    """Whether it takes the rows of the datasets in `references` as they are, with the columns that they have there."""
    holds: ClassVar[bool] = False
    """Whether something is set up for it outside of Headrace that stands until it is taken away, such as a replication slot."""

    at_once: ClassVar[bool] = False
    """Whether a stretch of time that is read again is read in one go: to go on in it later would be to make all of it anew."""

    type: str = Setting(description="The connector.")
    columns: dict[str, LogicalType] = Setting(
        {},
        description="Source columns whose type should not be guessed, by name: `time_hour: timestamp`. "
        "Types are the words of `logicalType`.",
    )
    drift: dict[SourceColumn, Decision] = Setting(
        {},
        description="What was decided about columns that came, or whose values changed, without notice, by name: "
        "`price_chf: {rename_to: price}`. See docs/drift.md; `headrace drift` writes it.",
    )
    schedule: Schedule | None = Setting(
        None,
        description="When the source is read, for sources that have an end. Without it, it is looked at for more all the time; "
        "with `load.mode: replace`, it is then read when it is applied and when a run is asked for.",
    )
    max_record_bytes: int = Setting(
        MAX_RECORD_BYTES,
        ge=1,
        le=MOST_RECORD_BYTES,
        description="A row that is larger than this once encoded, with its key, is quarantined (too_large).",
    )

    @model_validator(mode="after")
    def _triggered(self) -> Self:
        if self.schedule is not None and self.schedule.trigger is not None and not self.references:
            raise ValueError(f"no schedule.trigger: a source of type {self.type} reads no other dataset")
        return self

    @property
    def references(self) -> Collection[str]:
        """The datasets of this Headrace whose rows it reads."""
        return ()

    def reads(self, dataset: str, column: str) -> bool:
        """Whether it may read a column of one of those."""
        del dataset, column
        return False

    @property
    def gives(self) -> Collection[str]:
        """The columns that it makes of those, as far as it says."""
        return ()

    def contributors(self, row: Mapping[str, Any], made_at: datetime) -> Sequence[Contributing]:
        """Which rows of those one of its rows was made of, which had been read by then; nothing where it does not tell."""
        del row, made_at
        return ()

    @property
    def attempts(self) -> int | None:
        """How often a full load is tried before it is given up; None: until it works."""
        return None

    def why_not_loaded(self, mode: str) -> str:
        """What else `load.mode` has to be, when its rows cannot be loaded so; nothing when they can."""
        del mode
        return ""

    @property
    def why_no_transform(self) -> str:
        """Why the dataset may have no `transform.sql`; nothing when it may."""
        return ""

    def why_no_backfill(self, mode: str) -> str:
        """Why the rows of a stretch of time cannot be read again with a `load.mode`; nothing when they can."""
        del mode
        return f"a source of type {self.type} has no cursor in time"


@cache
def kinds() -> Mapping[str, type[SourceSettings]]:
    """The settings model of each `source.type` that installed packages bring. What cannot be loaded is left out, and said so."""
    points = sorted(entry_points(group=SOURCES), key=lambda point: point.name)
    return {point.name: model for point in points if (model := _model(point)) is not None}


def _model(point: EntryPoint) -> type[SourceSettings] | None:
    try:
        model: Any = point.load()
    except Exception:
        log.exception("sources of type %s are not to be had: %s cannot be loaded", point.name, point.value)
        return None
    if not (isinstance(model, type) and issubclass(model, SourceSettings)):
        log.error("sources of type %s are not to be had: %s is no SourceSettings", point.name, point.value)
        return None
    return model


class _OfAnyKind:
    """Tells pydantic that a source is one of the kinds. It asks when it first needs to know: by then all modules are loaded."""

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(Annotated[reduce(or_, kinds().values()), Setting(discriminator="type")])


Source = Annotated[SourceSettings, _OfAnyKind()]
