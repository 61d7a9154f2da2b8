"""Where the lake is; apart from what opens it, so that a service which seldom needs it starts without Iceberg's libraries."""

from typing import Final

from pydantic import Field

from headrace.stream.service import ServiceSettings

SQLITE: Final = "sqlite:///"


class LakeSettings(ServiceSettings):
    """Settings of a service that reads or writes the lake, as `HEADRACE_<NAME>`."""

    lake_uri: str = Field("", description="The Iceberg catalog's database; empty is SQLite in the data folder.")
    lake_warehouse: str = Field(
        "", description="Where landed files go, any fsspec or S3 location; empty is the data folder."
    )

    def lake(self) -> tuple[str, str]:
        """The catalog's database URI and the location of the files."""
        root = (self.data_dir / "lake").absolute()
        return self.lake_uri or f"{SQLITE}{root}/catalog.db", self.lake_warehouse or f"file://{root}/files"
