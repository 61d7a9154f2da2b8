"""Calls about full loads and backfills."""

from datetime import datetime

from headrace.client.call import Call, get, post
from headrace.client.items import Items
from headrace.client.method import Group, WireT, call
from headrace.client.results import Asked, Run, RunStory


class Runs(Group[WireT]):
    """Full loads and backfills."""

    @call
    def list(self, dataset: str) -> Call[Items[Run]]:
        """The full loads of a dataset, the newest first."""
        return get("/datasets/{name}/runs", name=dataset).items(Run)

    @call
    def story(self, dataset: str, run: int = 0, after: int | None = None) -> Call[RunStory]:
        """What happened to a run (0: the newest), or since the `after` of an earlier answer."""
        request = get("/datasets/{name}/runs/{number}/log", name=dataset, number=run)
        return request.asking(after=after).one(RunStory)

    @call
    def start(self, dataset: str) -> Call[Asked]:
        """Have the whole source read once more."""
        return post("/datasets/{name}/runs", name=dataset).one(Asked)

    @call
    def rollback(self, dataset: str) -> Call[Asked]:
        """Have the run shown that showed before."""
        return post("/datasets/{name}/runs/rollback", name=dataset).one(Asked)

    @call
    def cancel(self, dataset: str) -> Call[Asked]:
        """End the run that is under way, or the backfill that is asked for."""
        return post("/datasets/{name}/runs/cancel", name=dataset).one(Asked)

    @call
    def backfill(
        self, dataset: str, since: datetime, until: datetime, *, allow_duplicates: bool = False
    ) -> Call[Asked]:
        """Have the rows of a stretch of time read again; `since` and `until` have a zone."""
        body = {"from": since, "to": until, "allow_duplicates": allow_duplicates}
        return post("/datasets/{name}/backfills", name=dataset).with_body(**body).one(Asked)
