"""Where raw records are landed: the lake's catalog, the table of a dataset, and how a snapshot says how far it reaches."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from sqlalchemy.exc import SQLAlchemyError

from headrace.errors import Transient
from headrace.stream.lake_settings import SQLITE, LakeSettings

_OFFSET: Final = "headrace.offset."


def lake_catalog(settings: LakeSettings) -> Catalog:
    """The catalog of the lake. Its database is made when it is not there. Errors: Transient."""
    uri, warehouse = settings.lake()
    if uri.startswith(SQLITE):
        (settings.data_dir / "lake").mkdir(parents=True, exist_ok=True)
    return _opened(uri, warehouse, "true")


def existing_catalog(settings: LakeSettings) -> Catalog | None:
    """The catalog of the lake for one who only looks; None when there is none yet. Errors: Transient."""
    uri, warehouse = settings.lake()
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).exists():
        return None
    return _opened(uri, warehouse, "false")


def _opened(uri: str, warehouse: str, make_tables: str) -> Catalog:
    try:
        return SqlCatalog("headrace", uri=uri, warehouse=warehouse, init_catalog_tables=make_tables)
    except SQLAlchemyError as error:  # not there yet, or another lander is just making it
        raise Transient(f"opening the lake's catalog: {error}") from error


def landing_table(dataset: str) -> str:
    """The table that a dataset's raw records are landed in."""
    return f"{dataset}__raw"


def offsets_of(summary: Mapping[str, str]) -> dict[int, int]:
    """How far each partition has been landed, by a snapshot's properties: partition -> next offset."""
    return {int(name.removeprefix(_OFFSET)): int(value) for name, value in summary.items() if name.startswith(_OFFSET)}


def properties_of(offsets: Mapping[int, int]) -> dict[str, str]:
    """The snapshot properties that remember `offsets`. Inverse of `offsets_of`."""
    return {f"{_OFFSET}{partition}": str(offset) for partition, offset in offsets.items()}
