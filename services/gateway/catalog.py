"""The parts of the catalog, as its routes work with them."""

from dataclasses import dataclass

from sqlalchemy import Engine

from services.gateway.adapters.catalog_reader import CatalogReader
from services.gateway.adapters.dataset_store import DatasetStore
from services.gateway.adapters.favourite_store import FavouriteStore
from services.gateway.adapters.note_store import NoteStore
from services.gateway.adapters.profile_store import ProfileStore
from services.gateway.adapters.storage import Storage
from services.gateway.adapters.thread_store import ThreadStore
from services.gateway.adapters.usage_store import Usage
from services.gateway.lineages import Lineages
from services.gateway.listing import Listing


@dataclass(frozen=True, slots=True)
class Catalog:
    """What is known of datasets beside their files and books."""

    reader: CatalogReader
    listing: Listing
    profiles: ProfileStore
    storage: Storage
    favourites: FavouriteStore
    notes: NoteStore
    usage: Usage
    threads: ThreadStore
    lineages: Lineages

    @classmethod
    def over(cls, engine: Engine, datasets: DatasetStore, storage: Storage) -> "Catalog":
        """A catalog of what is in the gateway's database."""
        reader = CatalogReader(engine)
        listing = Listing(reader)
        return cls(
            reader,
            listing,
            ProfileStore(engine),
            storage,
            FavouriteStore(engine),
            NoteStore(engine),
            Usage(engine),
            ThreadStore(engine),
            Lineages(datasets, listing),
        )
