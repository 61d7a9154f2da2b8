"""What the gateway is told about sign-in by its environment."""

from datetime import timedelta

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.gateway.core.session_life import Lifetime, SignInTimes


class SignInSettings(BaseSettings):
    """How long somebody stays signed in, as `HEADRACE_<NAME>` (docs/sign-in.md)."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_", frozen=True, extra="forbid")

    session_idle_s: int = Field(1800, ge=120, description="A session ends when it was not used for this long.")
    session_absolute_s: int = Field(12 * 3600, ge=120, description="A session ends this long after the sign-in.")
    sign_in_link_s: int = Field(
        24 * 3600, ge=60, description="How long the link counts with which somebody sets a password."
    )
    gateway_public_url: str | None = Field(
        None,
        description="Where browsers find the gateway, such as https://headrace.example.org. Needed behind a proxy that changes "
        "the Host header: else requests of our own pages look like those of another site.",
    )

    @field_validator("gateway_public_url")
    @classmethod
    def _origin(cls, url: str | None) -> str | None:
        return None if url is None else url.rstrip("/")

    @property
    def sign_in_times(self) -> SignInTimes:
        """How long sessions and links count."""
        idle, absolute = timedelta(seconds=self.session_idle_s), timedelta(seconds=self.session_absolute_s)
        return SignInTimes(Lifetime(idle, absolute), timedelta(seconds=self.sign_in_link_s))
