"""What the quality service is told by its environment."""

from headrace.stream.service import ServiceSettings


class QualitySettings(ServiceSettings):
    """The quality service's settings, as `HEADRACE_<NAME>`."""
