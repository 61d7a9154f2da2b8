"""What the transformer is told by its environment."""

from pydantic import Field

from headrace.secrets.settings import KeySettings
from headrace.stream.lake_settings import LakeSettings
from headrace.transform.engine import MEMORY, MOST_LIMIT_S, QUERY_LIMIT_S
from headrace.transform.store import SPILL


class TransformerSettings(LakeSettings, KeySettings):
    """See `headrace.stream.lake_settings.LakeSettings` and `headrace.secrets.settings.KeySettings`."""

    transform_memory: str = Field(
        MEMORY,
        description="The most memory one dataset's SQL, and what it reads of its reference data at a time, may take.",
    )
    transform_spill: str = Field(
        SPILL,
        description="The most disk space that one dataset's SQL over reference data may take for what does not fit in memory.",
    )
    transform_time_limit_s: float = Field(
        QUERY_LIMIT_S,
        gt=0,
        le=MOST_LIMIT_S,
        description="The longest one dataset's SQL may take over a batch. Rows of which one alone takes longer are set aside.",
    )
