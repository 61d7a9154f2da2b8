"""What the stager is told by its environment."""

from pydantic import Field

from headrace.stream.lake_settings import LakeSettings


class StagerSettings(LakeSettings):
    """The stager's settings, as `HEADRACE_<NAME>`."""

    landing_rows: int = Field(50_000, ge=1, description="Land when this many records of a dataset wait,")
    landing_bytes: int = Field(16 << 20, ge=1, description="... or this many bytes,")
    landing_interval_s: float = Field(15.0, gt=0, description="... or the oldest has waited this long.")
