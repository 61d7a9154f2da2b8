"""What the README shows is true: its dataset file is valid, its links lead somewhere, its make targets exist."""

import re
from pathlib import Path

from headrace.contract import load

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_dataset_file_in_the_readme_is_valid() -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert load(example).dataset == "shop.orders"


def test_every_link_in_the_documentation_leads_to_a_file() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_every_make_target_in_the_documentation_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name
        for page in ("README.md", "CONTRIBUTING.md")
        for name in re.findall(r"`?make ([a-z]+)", (ROOT / page).read_text())
    }
    assert named - {"it", "sure"} <= targets | {"test"}
