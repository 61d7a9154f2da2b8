"""What the bodies of the API have in common: how they are read and written, and the names in paths."""

from typing import Annotated, ClassVar, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

Rows = Annotated[int, Field(description="A number of rows.")]

Name = Annotated[
    str,
    Path(
        description="The dataset's name, domain.name.",
        examples=["nyc.flights"],
        pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$",
        max_length=120,
    ),
]

Problems = Annotated[
    list[str],
    Field(
        description="What needs a person: a service has stopped working on the dataset. Until it has worked on it again, "
        "or a newer version is live, these are among the reasons why the dataset is not settled.",
        examples=[["ingest stopped working on nyc.flights (ingest nyc.flights): flights.csv is damaged; replace it"]],
    ),
]

Warnings = Annotated[
    list[str],
    Field(
        description="What does not stand against applying, but should be known: a secret that the file names and nobody has set.",
        examples=[["there is no secret shop.password: ingest reads the source once it is set"]],
    ),
]

SecretName = Annotated[
    str,
    Path(
        description="The name of a secret, as in `secret://name`.",
        examples=["shop.password"],
        pattern=r"^[a-z][a-z0-9_.-]{0,127}$",
    ),
]

TailStage = Literal["raw", "staged", "transformed", "validated", "quarantine"]


class Body(BaseModel):
    """A request's body: unknown members are refused. `recorded` are the members that the audit keeps: never a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    recorded: ClassVar[frozenset[str]] = frozenset()


class Answer(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(frozen=True)
