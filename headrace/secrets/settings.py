"""Where the master keys are, as the processes that seal or open secrets are told by their environment."""

from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from headrace.errors import Fatal
from headrace.secrets.keys import KeyWrapping, loaded

NO_KEY: Final = (
    "there is no master key: make one with `headrace secret new-key`, write it as `id: key` into a file that only its "
    "owner can read, and name that in HEADRACE_MASTER_KEY_FILE of the gateway, ingest and the transformer (docs/secrets.md)"
)


class KeySettings(BaseSettings):
    """One of three, or none: a key, a file of keys, or a key in HashiCorp Vault's Transit engine."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_", frozen=True, extra="forbid")

    master_key: SecretStr | None = Field(None, description="The master key of 256 bits, as base64.")
    master_key_file: Path | None = Field(
        None, description="A file with a line `id: key` for each master key, the current one first; mode 600."
    )
    vault_url: str | None = Field(None, description="HashiCorp Vault, which holds the master key. Extra: `vault`.")
    vault_token: SecretStr | None = Field(None, description="The token for Vault: it may read, encrypt and decrypt.")
    vault_mount: str = Field("transit", description="Where Vault's Transit engine is mounted.")
    vault_key: str = Field(
        "headrace", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,49}$", description="The key in Vault's Transit engine."
    )

    def key_wrapping(self) -> KeyWrapping | None:
        """Whoever holds the master keys; None when none is set. Errors: Fatal, which says what to correct."""
        if self.vault_url is None:
            none = self.master_key is None and self.master_key_file is None
            return None if none else loaded(self.master_key, self.master_key_file)
        if self.master_key is not None or self.master_key_file is not None:
            raise Fatal("HEADRACE_VAULT_URL is set beside a master key of HEADRACE_MASTER_KEY*: set one of them")
        if self.vault_token is None:
            raise Fatal("HEADRACE_VAULT_URL is set without HEADRACE_VAULT_TOKEN: set the token Vault is asked with")
        try:
            from headrace.secrets.vault import Transit
        except ImportError as error:
            raise Fatal(
                f"HEADRACE_VAULT_URL is set, but {error.name} is not installed: pip install 'headrace[vault]'"
            ) from error
        return Transit(self.vault_url, self.vault_token, self.vault_mount, self.vault_key)
