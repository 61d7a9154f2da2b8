"""Calls about the catalog: what datasets there are, where they come from, who uses them, what people say of them."""

from collections.abc import Sequence
from typing import Final, TypedDict, Unpack

from headrace.client.call import Call, Pages, Pieces, Request, delete, get, post, put
from headrace.client.items import Items
from headrace.client.method import Group, WireT, call, pages, pieces
from headrace.client.results.catalog import (
    CatalogDataset,
    CatalogItem,
    CatalogPage,
    CatalogVersion,
    ColumnImpact,
    Lineage,
    Note,
    Sample,
    Thread,
    TierSize,
    Usage,
)

_REMARK: Final = "/catalog/{name}/threads/{thread}/remarks/{remark}"


class Facets(TypedDict, total=False):
    """Only datasets that have one of the values of each."""

    domain: Sequence[str] | None
    owner: Sequence[str] | None
    tag: Sequence[str] | None
    classification: Sequence[str] | None
    state: Sequence[str] | None
    freshness: Sequence[str] | None


class Catalog(Group[WireT]):
    """The catalog, as far as you may see."""

    @call
    def page(
        self,
        words: str = "",
        *,
        favourites: bool = False,
        sort: str = "relevance",
        limit: int = 50,
        cursor: str | None = None,
        **facets: Unpack[Facets],
    ) -> Call[CatalogPage]:
        """A page of what was found, with facets. `facets`: only datasets that have one of these values."""
        return _asked(words, favourites, sort, limit).asking_more(cursor=cursor, **facets).one(CatalogPage)

    @pages
    def search(
        self,
        words: str = "",
        *,
        favourites: bool = False,
        sort: str = "relevance",
        limit: int = 50,
        **facets: Unpack[Facets],
    ) -> Pages[CatalogItem]:
        """The datasets that were found, of all pages of `limit`. See `page`."""
        return _asked(words, favourites, sort, limit).asking_more(**facets).pages(CatalogItem)

    @call
    def dataset(self, dataset: str) -> Call[CatalogDataset]:
        """What there is to know of a dataset."""
        return get("/catalog/{name}", name=dataset).one(CatalogDataset)

    @call
    def versions(self, dataset: str, limit: int = 20) -> Call[Items[CatalogVersion]]:
        """The newest versions of its file, and what each changed."""
        return get("/catalog/{name}/versions", name=dataset).asking(limit=limit).items(CatalogVersion)

    @pieces
    def contract(self, dataset: str) -> Pieces[str]:
        """Its contract in the Open Data Contract Standard v3, as YAML."""
        return get("/catalog/{name}/contract", name=dataset).asking(format="yaml").pieces(str)

    @call
    def storage(self, dataset: str) -> Call[Items[TierSize]]:
        """Where its rows are kept, and how much."""
        return get("/catalog/{name}/storage", name=dataset).items(TierSize)

    @call
    def lineage(self, dataset: str, *, direction: str = "both", depth: int = 3) -> Call[Lineage]:
        """What it comes from (`upstream`), what comes from it (`downstream`), or both."""
        return get("/catalog/{name}/lineage", name=dataset).asking(direction=direction, depth=depth).one(Lineage)

    @call
    def impact(self, dataset: str, column: str | None = None) -> Call[ColumnImpact]:
        """Who breaks if a column goes, or all of it."""
        return get("/catalog/{name}/impact", name=dataset).asking(column=column).one(ColumnImpact)

    @call
    def sample(self, dataset: str, limit: int = 20) -> Call[Sample]:
        """Some rows, as you see them."""
        return get("/catalog/{name}/sample", name=dataset).asking(limit=limit).one(Sample)

    @call
    def usage(self, dataset: str, days: int = 30) -> Call[Usage]:
        """Who asks for its rows."""
        return get("/catalog/{name}/usage", name=dataset).asking(days=days).one(Usage)

    @call
    def mark(self, dataset: str) -> Call[None]:
        """Make it one of your favourites."""
        return put("/catalog/{name}/favourite", name=dataset).nothing()

    @call
    def unmark(self, dataset: str) -> Call[None]:
        """Make it none of your favourites."""
        return delete("/catalog/{name}/favourite", name=dataset).nothing()

    @call
    def notes(self, dataset: str, column: str = "") -> Call[Items[Note]]:
        """Every state of the note on it, or on a column, the newest first."""
        return get("/catalog/{name}/notes", name=dataset).asking(column=column).items(Note)

    @call
    def write_note(self, dataset: str, text: str, column: str = "", over: int | None = None) -> Call[Note]:
        """Write the note on it, or on a column; an empty text takes it away. `over`: the id of the state it was made of."""
        return put("/catalog/{name}/notes", name=dataset).with_body(column=column, text=text, over=over).one(Note)

    @call
    def undo_note(self, dataset: str, over: int, column: str = "") -> Call[Note]:
        """Have the state before the one with this id stand again."""
        return post("/catalog/{name}/notes/undo", name=dataset).with_body(column=column, over=over).one(Note)

    @call
    def threads(self, dataset: str) -> Call[Items[Thread]]:
        """What people say of it."""
        return get("/catalog/{name}/threads", name=dataset).items(Thread)

    @call
    def begin_thread(self, dataset: str, text: str, column: str = "") -> Call[Thread]:
        """Ask or tell something of it, or of a column."""
        return post("/catalog/{name}/threads", name=dataset).with_body(text=text, column=column).one(Thread)

    @call
    def reply(self, dataset: str, thread: str, text: str) -> Call[Thread]:
        """Say something in a thread."""
        request = post("/catalog/{name}/threads/{thread}/remarks", name=dataset, thread=thread)
        return request.with_body(text=text).one(Thread)

    @call
    def resolve(self, dataset: str, thread: str) -> Call[Thread]:
        """Say that there is nothing left to say in a thread."""
        return put("/catalog/{name}/threads/{thread}/resolution", name=dataset, thread=thread).one(Thread)

    @call
    def reopen(self, dataset: str, thread: str) -> Call[Thread]:
        """Say that there is more to say in a thread."""
        return delete("/catalog/{name}/threads/{thread}/resolution", name=dataset, thread=thread).one(Thread)

    @call
    def edit_remark(self, dataset: str, thread: str, remark: str, text: str) -> Call[Thread]:
        """Say otherwise what you said."""
        request = put(_REMARK, name=dataset, thread=thread, remark=remark)
        return request.with_body(text=text).one(Thread)

    @call
    def delete_remark(self, dataset: str, thread: str, remark: str) -> Call[Thread]:
        """Take back what you said; that you said something stays."""
        return delete(_REMARK, name=dataset, thread=thread, remark=remark).one(Thread)


def _asked(words: str, favourites: bool, sort: str, limit: int) -> Request:
    return get("/catalog").asking(q=words, favourites=favourites, sort=sort, limit=limit)
