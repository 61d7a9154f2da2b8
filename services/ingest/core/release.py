"""Decides whether what a source keeps outside of Headrace is still needed."""

from dataclasses import dataclass

from headrace.stream.holdings import Holding
from headrace.stream.wishes import Wish


@dataclass(frozen=True, slots=True)
class Standing:
    """A dataset as its topic tells of it, without its file being understood: the state, and the kind of its source."""

    state: str
    source_type: str


def why_released(holding: Holding, source_type: str, dataset: Standing | None, pause: Wish | None) -> str:
    """Why nothing needs what is held for a source of a kind; nothing while something does.

    `dataset` is None when it is certain that there is none any more, `pause` the pause of its source that stands.
    """
    if holding.state != "held":  # what has begun to be taken away is of no use to anybody
        return holding.because
    if dataset is None:
        return "the dataset was removed"
    if dataset.state == "retired":
        return "the dataset is retired"
    if dataset.source_type != source_type:
        return f"its source is of type {dataset.source_type} now"
    if pause is not None and pause.act == "release":
        return pause.told
    return ""
