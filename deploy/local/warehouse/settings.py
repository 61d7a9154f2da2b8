"""What can be set about the warehouse: on the command line, or by HEADRACE_WAREHOUSE_* in the environment."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class WarehouseSettings(BaseSettings):
    """Passwords have no command-line place in practice: other users of the machine can read command lines."""

    model_config = SettingsConfigDict(
        env_prefix="HEADRACE_WAREHOUSE_", frozen=True, cli_prog_name="python -m deploy.local.warehouse"
    )

    path: Path = Field(description="data directory; one process at a time may use it")
    port: int = Field(8123, ge=0, le=65535, description="port on 127.0.0.1")
    user: str = Field("headrace", description="the user who may read and write")
    password: SecretStr = SecretStr("")
    reader_user: str = Field("reader", description="the user who may only read")
    reader_password: SecretStr = SecretStr("")
    memory_mb: int = Field(2000, ge=400, description="cap on the engine's memory; a query that would exceed it fails")
    fsync: bool = Field(True, description="whether an insert is on the disk before it is acknowledged")
