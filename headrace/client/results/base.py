"""What all answers have in common."""

from pydantic import BaseModel, ConfigDict


class Result(BaseModel):
    """A value of an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")
