"""Bodies: tokens, and the credentials of sources."""

from datetime import datetime

from pydantic import Field, SecretStr

from services.gateway.adapters.http.models.words import Answer, Body


class NewToken(Body):
    """What a token is for."""

    recorded = frozenset({"name"})

    name: str = Field(
        min_length=1, max_length=100, pattern=r"^[\w .@:/-]+$", description="Who or what uses it.", examples=["grafana"]
    )


class Token(Answer):
    """A token, without its secret."""

    id: str = Field(examples=["9f86d081884c7d65"])
    name: str = Field(examples=["grafana"])
    created_at: datetime


class CreatedToken(Token):
    """A new token. This is the only time its secret is shown."""

    token: str = Field(description="The bearer token.", examples=["hr_9f86d081884c7d65_kJ3..."])


class Tokens(Answer):
    """Every token beside the administrator's."""

    items: list[Token]


class NewSecret(Body):
    """The value of a secret."""

    value: SecretStr = Field(
        min_length=1,
        description="The value: text of at most 64 KiB in UTF-8. No answer holds it.",
        examples=["correct horse battery staple"],
    )


class Secret(Answer):
    """A secret, without its value."""

    name: str = Field(examples=["shop.password"])
    version: int = Field(description="Counts its values since it was made, from 1.", examples=[1])
    key_id: str = Field(description="The master key it is sealed under.", examples=["2026-11"])
    set_at: datetime = Field(description="When it got its value.")
    set_by: str = Field(description="Who gave it its value; `ingest` when the source itself replaced it.")
    kept_for: str | None = Field(
        description="The dataset whose source replaced the value, as with a refresh token; null when a person set it."
    )
    datasets: list[str] = Field(description="The datasets that name it.", examples=[["shop.orders"]])


class Secrets(Answer):
    """Every secret, by name."""

    current_key_id: str = Field(description="The master key that seals from now on.", examples=["2026-11"])
    items: list[Secret]


class FailedRotation(Answer):
    """A secret that is still under another master key."""

    name: str
    detail: str


class RotatedSecrets(Answer):
    """What a rotation did. Another one at once does nothing."""

    current_key_id: str = Field(examples=["2026-11"])
    rotated: int = Field(description="How many secrets were put under the current master key by this call.")
    unchanged: int = Field(description="How many were under it already.")
    failed: list[FailedRotation] = Field(description="The secrets that could not be put under it; empty when all are.")
