"""Calls about what people decide by hand: rows that are held or skipped, versions that are pinned."""

from collections.abc import Sequence

from headrace.client.call import Call, get, post
from headrace.client.items import Items
from headrace.client.method import Group, WireT, call
from headrace.client.results import HeldRow, Override


class Overrides(Group[WireT]):
    """Decisions by hand."""

    @call
    def list(self, dataset: str) -> Call[Items[Override]]:
        """What was decided by hand about a dataset and stands."""
        return get("/datasets/{name}/overrides", name=dataset).items(Override)

    @call
    def held_rows(self, dataset: str | None = None) -> Call[Items[HeldRow]]:
        """The rows that wait for a decision."""
        return get("/held-rows").asking(dataset=dataset or None).items(HeldRow)

    @call
    def release_hold(
        self, dataset: str, raw: Sequence[str], act: str, because: str, *, rows: int = 1, all_like_this: bool = False
    ) -> Call[Items[Override]]:
        """Decide about rows that are held, `pass` or `quarantine`, and about others that the same check holds.

        `raw` names them by their raw records, PARTITION:OFFSET.
        """
        request = post("/datasets/{name}/hold/release", name=dataset)
        body = {"raw": tuple(raw), "act": act, "because": because, "rows": rows, "all_like_this": all_like_this}
        return request.with_body(**body).items(Override)

    @call
    def skip(
        self, dataset: str, partition: int, from_offset: int, to_offset: int, because: str
    ) -> Call[Items[Override]]:
        """Leave raw rows out, from the first offset to the last."""
        body = {"partition": partition, "from_offset": from_offset, "to_offset": to_offset, "because": because}
        return post("/datasets/{name}/skip", name=dataset).with_body(**body).items(Override)

    @call
    def pin(self, dataset: str, because: str) -> Call[Items[Override]]:
        """Let no new version of a dataset go live."""
        return post("/datasets/{name}/pin", name=dataset).with_body(because=because).items(Override)

    @call
    def unpin(self, dataset: str, because: str) -> Call[Items[Override]]:
        """Let new versions of a dataset go live again."""
        return post("/datasets/{name}/unpin", name=dataset).with_body(because=because).items(Override)
