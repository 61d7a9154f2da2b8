"""What the stager is told by its environment."""

from pydantic import Field

from headrace.stream.service import ServiceSettings


class StagerSettings(ServiceSettings):
    """The stager's settings, as `HEADRACE_<NAME>`."""

    lake_uri: str = Field("", description="The Iceberg catalog's database; empty is SQLite in the data folder.")
    lake_warehouse: str = Field(
        "", description="Where landed files go, any fsspec or S3 location; empty is the data folder."
    )
    landing_rows: int = Field(50_000, ge=1, description="Land when this many records of a dataset wait,")
    landing_bytes: int = Field(16 << 20, ge=1, description="... or this many bytes,")
    landing_interval_s: float = Field(15.0, gt=0, description="... or the oldest has waited this long.")

    def lake(self) -> tuple[str, str]:
        """The catalog's database URI and the location of the files."""
        root = (self.data_dir / "lake").absolute()
        return self.lake_uri or f"sqlite:///{root}/catalog.db", self.lake_warehouse or f"file://{root}/files"
