"""Calls about generations: another version beside the live one."""

from datetime import datetime
from typing import Final

from headrace.client.call import Call, Lines, get, post
from headrace.client.items import Items
from headrace.client.method import Group, WireT, call, lines
from headrace.client.results import Generation
from headrace.client.results.generation_diffs import DiffPart

_REPLAY_S: Final = 100.0  # longer than the gateway gives the tests of a dataset file
_ASKING_S: Final = 300.0
_DIFF_S: Final = 630.0  # between two lines of an answer; the gateway stops a query long before


class Generations(Group[WireT]):
    """Generations of datasets."""

    @call
    def list(self, dataset: str) -> Call[Items[Generation]]:
        """The generations of a dataset, the newest first, and how far each has got."""
        return get("/datasets/{name}/generations", name=dataset).items(Generation)

    @call
    def replay(
        self,
        dataset: str,
        document: str,
        because: str,
        *,
        skip_tests: str | None = None,
        ingested_from: datetime | None = None,
        ingested_to: datetime | None = None,
    ) -> Call[Generation]:
        """Have a dataset file make a generation beside the live one, from the first record on.

        With a range (half-open, aware of its time zone) it holds only rows that were ingested in it, and cannot be promoted.

        The gateway refuses it when one of its tests fails, unless `skip_tests` says why they are not to be run.
        """
        body = {"document": document, "because": because, "skip_tests": skip_tests}
        request = post("/datasets/{name}/generations", name=dataset)
        request = request.with_body(**body, ingested_from=ingested_from, ingested_to=ingested_to)
        return request.within(_REPLAY_S).one(Generation)

    @call
    def promote(self, dataset: str, generation: int, because: str, *, force: bool = False) -> Call[Generation]:
        """Have readers see this generation; `force`: also when it has not caught up. Of the live one it changes nothing."""
        request = post("/datasets/{name}/generations/{number}/promote", name=dataset, number=generation)
        return request.with_body(because=because, force=force).within(_ASKING_S).one(Generation)

    @call
    def rollback(self, dataset: str, leaving: int, because: str) -> Call[Generation]:
        """Have readers see the generation that was live before `leaving`, which is live now."""
        request = post("/datasets/{name}/generations/rollback", name=dataset)
        return request.with_body(because=because, leaving=leaving).within(_ASKING_S).one(Generation)

    @call
    def retire(self, dataset: str, generation: int, because: str) -> Call[Generation]:
        """Give a generation up for ever: its topics and its table are dropped."""
        request = post("/datasets/{name}/generations/{number}/retire", name=dataset, number=generation)
        return request.with_body(because=because).within(_ASKING_S).one(Generation)

    @lines
    def diff(self, dataset: str, generation: int, *, against: int | None = None, sample: int = 20) -> Lines[DiffPart]:
        """What differs between a generation of a dataset and another (the live one). Changes nothing."""
        request = get("/datasets/{name}/generations/{generation}/diff", name=dataset, generation=generation)
        return request.asking(sample=sample, against=against).within(_DIFF_S).lines(DiffPart)
