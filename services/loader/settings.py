"""What the loader is told by its environment."""

from pydantic import Field, SecretStr

from headrace.stream.service import ServiceSettings


class LoaderSettings(ServiceSettings):
    """The loader's settings, as `HEADRACE_<NAME>`."""

    warehouse_url: str = Field("http://127.0.0.1:8123", description="ClickHouse's HTTP address.")
    warehouse_user: str = Field("headrace", description="A user who may create, read and write.")
    warehouse_password: SecretStr = Field(SecretStr(""), description="That user's password.")
    warehouse_timeout_s: float = Field(120.0, gt=0, description="How long a statement may take.")
    compare_runs: bool = Field(
        True,
        description="Whether the values of a full load are compared with what was published before it shows; "
        "otherwise its rows are counted only.",
    )
