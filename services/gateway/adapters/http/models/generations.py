"""Bodies: the generations of a dataset, and what is done to them."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from services.gateway.adapters.http.models.datasets import DatasetApplication
from services.gateway.adapters.http.models.words import Answer, Body, Rows

_BECAUSE = Field(min_length=1, max_length=1000, description="Why; kept with the generation.", examples=["new tariff"])


class Replay(DatasetApplication):
    """A dataset file that is to make a generation beside the live one.

    With a range it holds only rows that were ingested in it: to be compared within it, and never live.
    """

    recorded = frozenset({"skip_tests", "because", "ingested_from", "ingested_to"})

    because: str = _BECAUSE
    ingested_from: AwareDatetime | None = Field(None, description="Only rows that were ingested then or later.")
    ingested_to: AwareDatetime | None = Field(None, description="Only rows that were ingested before.")


class GenerationAct(Body):
    """What is done to a generation, and why."""

    recorded = frozenset({"because"})

    because: str = _BECAUSE


class Promotion(GenerationAct):
    """A generation that is to be live."""

    recorded = frozenset({"because", "force"})

    force: bool = Field(
        False, description="Also when it has not caught up: readers miss rows until it has. `because` says why."
    )


class Rollback(GenerationAct):
    """The live generation that is to be left for the one before it."""

    recorded = frozenset({"because", "leaving"})

    leaving: int = Field(description="The generation that is live, as far as you know.", examples=[2])


class Generation(Answer):
    """A generation of a dataset: topics and a table of its own, made by one version of its file."""

    dataset: str = Field(examples=["nyc.flights"])
    generation: int = Field(description="Its number, which no other ever has.", examples=[2])
    state: Literal["live", "candidate", "kept", "retired"] = Field(
        description="`kept`: it was live, and can be gone back to. `retired`: its work has ended and what is its own is dropped."
    )
    shown: bool = Field(description="Whether readers of the view see it: for a moment, another than the live one.")
    version: int = Field(description="The version of the dataset file that makes it.", examples=[4])
    applied_at: datetime = Field(description="When that version was applied.")
    applied_by: str
    since: datetime = Field(description="When it came to be what `state` says.")
    by: str = Field(description="Who saw to that.")
    because: str = Field(description="Why; empty where nobody was asked.")
    read: Rows = Field(description="Staged records that it has read.")
    loaded: Rows
    quarantined: Rows = Field(description="Rows that it set aside, whatever was done about them since.")
    filtered: Rows
    behind: Rows = Field(
        description="Rows that the live generation has read, or its own stages have, and it has not loaded."
    )
    caught_up: bool = Field(description="Whether it was not behind when this was read.")
    problem: str = Field(description="What has stopped it; empty when nothing has.")
    ingested_from: datetime | None = Field(
        description="It holds only rows that were ingested then or later; null: from the first on."
    )
    ingested_to: datetime | None = Field(
        description="It holds only rows that were ingested before; null: also those to come."
    )


class Generations(Answer):
    """The generations of a dataset, the newest first."""

    items: list[Generation]
