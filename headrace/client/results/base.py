"""What all answers have in common."""

from pydantic import BaseModel, ConfigDict

from headrace.client import html


class Result(BaseModel):
    """A value of an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def _repr_html_(self) -> str:
        return html.fields_of(dict(self), type(self).__name__)
