"""What the transformer is told by its environment."""

from pydantic import Field

from headrace.stream.service import ServiceSettings
from headrace.transform.engine import MEMORY


class TransformerSettings(ServiceSettings):
    """The transformer's settings, as `HEADRACE_<NAME>`."""

    transform_memory: str = Field(
        MEMORY, description="The most memory one dataset's SQL and the reference data it reads may take."
    )
