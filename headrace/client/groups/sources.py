"""Calls about sources: trying one, having it rest or read, and giving it up."""

from typing import Final

from headrace.client.call import Call, Lines, ask, get, post
from headrace.client.items import Items
from headrace.client.method import Group, WireT, call, lines
from headrace.client.results import SourceHolding, SourcePart, Wish

_SOURCE_S: Final = 130.0  # longer than the gateway waits for a source


class Sources(Group[WireT]):
    """Sources of datasets."""

    @lines
    def check(self, document: str) -> Lines[SourcePart]:
        """Try the source of a dataset file step by step. Saves nothing."""
        return ask("/sources/check").with_body(document=document).within(_SOURCE_S).lines(SourcePart)

    @lines
    def discover(self, document: str) -> Lines[SourcePart]:
        """Try the source of a dataset file, and describe what it offers. Saves nothing."""
        return ask("/sources/discover").with_body(document=document).within(_SOURCE_S).lines(SourcePart)

    @call
    def pause(self, dataset: str, because: str) -> Call[Wish]:
        """Read nothing of a source, and take no pushes, until it is resumed."""
        return post("/datasets/{name}/source/pause", name=dataset).with_body(because=because).one(Wish)

    @call
    def resume(self, dataset: str) -> Call[Wish]:
        """Let a paused source go on."""
        return post("/datasets/{name}/source/resume", name=dataset).one(Wish)

    @call
    def run(self, dataset: str) -> Call[Wish]:
        """Have a source read now, out of turn."""
        return post("/datasets/{name}/source/run", name=dataset).one(Wish)

    @call
    def release(self, dataset: str, because: str, *, abandon: bool = False) -> Call[Items[SourceHolding]]:
        """Give a source up for good; returns what it keeps outside of Headrace, which ingest takes away."""
        request = post("/datasets/{name}/source/release", name=dataset)
        return request.with_body(because=because, abandon=abandon).items(SourceHolding)

    @call
    def holdings(self, dataset: str = "") -> Call[Items[SourceHolding]]:
        """What sources, or that of one dataset, keep outside of Headrace."""
        return get("/source-holdings").asking(dataset=dataset).items(SourceHolding)
