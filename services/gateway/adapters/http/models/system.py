"""Bodies: the gateway itself, and what it stands on."""

from typing import Literal

from pydantic import Field

from services.gateway.adapters.http.models.words import Answer


class Version(Answer):
    """Which program answers."""

    name: str = Field(examples=["headrace"])
    version: str = Field(examples=["0.1.0"])


class Part(Answer):
    """Something the gateway depends on."""

    ok: bool
    detail: str = Field(description="What is wrong; empty when nothing is.")


class Health(Answer):
    """What the gateway can reach."""

    status: Literal["ok", "degraded"]
    parts: dict[Literal["database", "kafka", "registry", "warehouse", "books", "audit"], Part]
