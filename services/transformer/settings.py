"""What the transformer is told by its environment."""

from pydantic import Field

from headrace.secrets.settings import KeySettings
from headrace.stream.lake_settings import LakeSettings
from headrace.transform.engine import MEMORY, QUERY_LIMIT_S


class TransformerSettings(LakeSettings, KeySettings):
    """See `headrace.stream.lake_settings.LakeSettings` and `headrace.secrets.settings.KeySettings`."""

    transform_memory: str = Field(
        MEMORY, description="The most memory one dataset's SQL and the reference data it reads may take."
    )
    transform_time_limit_s: float = Field(
        QUERY_LIMIT_S,
        gt=0,
        le=60,
        description="The longest one dataset's SQL may take over a batch. Rows of which one alone takes longer are set aside.",
    )
