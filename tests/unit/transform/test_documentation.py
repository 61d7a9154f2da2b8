"""The examples that people begin with pass their own tests."""

import re
from pathlib import Path

import pytest

from headrace.contract import load
from headrace.transform.trial import run_tests
from tests.unit.contract.documents import EXAMPLES, ROOT

GUIDE = (ROOT / "docs/tests-of-transforms.md").read_text(encoding="utf-8")
[GUIDED] = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)


def test_the_guide_holds_and_its_failure_looks_like_that() -> None:
    verdicts = run_tests(load(GUIDED))
    assert [verdict.differences for verdict in verdicts] == [(), ()]
    [first, _] = run_tests(
        load(GUIDED.replace("SELECT o.id, o.price * o.quantity", "SELECT o.id, o.price * o.quantity + 0.5"))
    )
    assert [(d.what, d.expected, d.got) for d in first.differences] == [("row 1 (id = 1), total", "3.75", "4.25")]


def test_what_is_said_of_personal_data_holds() -> None:
    [shown] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/personal-data.md").read_text(encoding="utf-8"), re.DOTALL)
    [verdict] = run_tests(load(shown))
    assert verdict.differences == ()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_passes_its_tests(path: Path) -> None:
    contract = load(path.read_text(encoding="utf-8"), str(path))
    assert {verdict.test: verdict.differences for verdict in run_tests(contract) if not verdict.passed} == {}


def test_a_wrong_transform_of_the_flights_does_not_pass() -> None:
    text = (ROOT / "examples/nyc/flights.yaml").read_text(encoding="utf-8")
    for right, wrong in (("arrival_same_day <= departure_local", "false"), ("to_minutes(dep_delay)", "to_minutes(1)")):
        verdicts = run_tests(load(text.replace(right, wrong)))
        assert "an overnight arrival" in {verdict.test for verdict in verdicts if not verdict.passed}
