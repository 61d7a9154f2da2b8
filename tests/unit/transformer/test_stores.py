"""What is kept of reference data goes when no generation needs it, and not before."""

from dataclasses import replace
from pathlib import Path

from headrace.stream.service import LiveDataset
from services.transformer.adapters.stores import Stores
from services.transformer.settings import TransformerSettings
from tests.unit.transform.staged import contract


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def test_what_no_generation_needs_is_thrown_away(tmp_path: Path) -> None:
    stores = Stores(tmp_path, "1GB")
    live = LiveDataset("shop.orders", 1, 2, "active", contract(), beside=())
    whole = replace(live, beside=(replace(live, generation=3, role="candidate"),))
    for name, generation in (("shop.orders", 1), ("shop.orders", 2), ("shop.orders", 3), ("shop.gone", 1)):
        stores.of(name, generation).folder.mkdir(parents=True)
    aside = stores.aside()
    stores.follow({"shop.orders": whole})
    assert names(tmp_path) == {"shop.orders-g2", "shop.orders-g3", "passing"}
    stores.drop("shop.orders", 3)
    assert names(tmp_path) == {"shop.orders-g2", "passing"}
    stores.follow({"shop.orders": replace(live, state="paused")})
    assert names(tmp_path) == {"shop.orders-g2", "passing"}
    stores.follow({"shop.orders": replace(live, state="retired")})
    assert names(tmp_path) == {"shop.orders-g2", "passing"}, "who works with it is told to end after this"
    stores.follow({"shop.orders": replace(live, state="retired")})
    assert names(tmp_path) == {"passing"}
    assert aside.folder.is_dir()
    stores.begin()
    assert names(tmp_path) == set()


def test_before_anything_was_kept_nothing_is_thrown_away(tmp_path: Path) -> None:
    Stores(tmp_path / "none", "1GB").follow({})
    assert names(tmp_path) == set()


def test_two_instances_share_no_folder(tmp_path: Path) -> None:
    one, other = (TransformerSettings(data_dir=tmp_path, instance=instance) for instance in ("0", "1"))
    folders = [Stores.of_settings(each).of("shop.orders", 1).folder for each in (one, other, one)]
    assert folders[0] == folders[2] != folders[1]
