"""What the gateway is told by its environment. Read once, at start."""

from pydantic import Field, SecretStr

from headrace.access.settings import TokenSettings
from headrace.secrets.settings import KeySettings
from headrace.stream.lake_settings import LakeSettings
from services.gateway.oidc_settings import OidcSettings


class GatewaySettings(LakeSettings, KeySettings, TokenSettings, OidcSettings):
    """Settings of the gateway, as `HEADRACE_<NAME>`, beside those every service has."""

    gateway_admin_token: SecretStr = Field(
        min_length=16, description="The bearer token of the administrator, who can make further tokens."
    )
    gateway_host: str = Field("127.0.0.1", description="Where the API listens.")
    gateway_port: int = Field(8080, description="The port of the API.")
    gateway_database_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL of the gateway's database. Left out: SQLite in the data folder."
    )
    warehouse_url: str = Field("http://127.0.0.1:8123", description="The warehouse, ClickHouse's HTTP protocol.")
    warehouse_reader_user: str = Field("reader", description="Who asks the warehouse: an account that can only read.")
    warehouse_reader_password: SecretStr = Field(SecretStr(""), description="The reader's password.")
    query_timeout_s: int = Field(30, ge=1, description="A query is stopped after this long.")
    query_memory_bytes: int = Field(2 << 30, ge=1 << 20, description="A query is stopped when it needs more memory.")
    query_read_rows: int = Field(10**10, ge=1, description="A query is refused when it would read more rows.")
    query_read_bytes: int = Field(1 << 40, ge=1, description="A query is stopped when it reads more.")
    query_result_rows: int = Field(10_000_000, ge=1, description="A query is stopped when it gives more rows.")
    query_result_bytes: int = Field(4 << 30, ge=1, description="A query is stopped when it gives more.")

    diff_timeout_s: int = Field(600, ge=1, description="A comparison of two generations is given up after this long.")
    export_location: str = Field(
        "",
        description="Where the files of exports are kept to be downloaded, any fsspec location; empty is the data folder. "
        "Gateways that share a database must share it.",
    )
    export_bucket: str = Field(
        "",
        description="Where exports to S3 go, such as s3://bucket/exports; empty: there are none. Needs the extra `s3`.",
    )
    export_most_mb: int = Field(
        20_000, ge=1, description="The largest file that an export in the background may become."
    )
    export_kept_hours: int = Field(72, ge=1, description="How long such a file is kept.")
    export_timeout_s: int = Field(3600, ge=1, description="An export is given up after this long.")

    @property
    def query_limits(self) -> dict[str, int]:
        """What a query may take, as settings of the engine."""
        return {
            "max_execution_time": self.query_timeout_s,
            "max_memory_usage": self.query_memory_bytes,
            "max_rows_to_read": self.query_read_rows,
            "max_bytes_to_read": self.query_read_bytes,
            "max_result_rows": self.query_result_rows,
            "max_result_bytes": self.query_result_bytes,
        }

    @property
    def database_url(self) -> str:
        """Where the gateway's database is."""
        if self.gateway_database_url is not None:
            return self.gateway_database_url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'gateway.db'}"
