"""What a service that knows bearer tokens is told by its environment."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class TokenSettings(BaseSettings):
    """Settings of the gateway and of ingest, as `HEADRACE_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_", frozen=True, extra="forbid")

    token_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="The key bearer tokens are hashed with, the same for all gateways and for ingest. Left out, a gateway makes "
        "one and keeps it in its data folder, and ingest takes no such token.",
    )
