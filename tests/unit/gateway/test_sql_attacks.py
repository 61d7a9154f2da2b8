"""The attacks of `tests/attacks/sql.yaml`: each is refused as it says there, or shows nothing that somebody may not see."""

from pathlib import Path
from typing import Final

import pytest
import yaml

from headrace.sql_guard import RefusedQueryError
from services.gateway.core.readable import reading, rewritten
from tests.unit.gateway.policed import OWN, Engine

TABLE: Final = Path(__file__).parents[2] / "attacks" / "sql.yaml"
ATTACKS: Final = {each["attack"]: each for each in yaml.safe_load(TABLE.read_text())}
REFUSED: Final = [name for name, each in ATTACKS.items() if "refused" in each]
HARMLESS: Final = [name for name, each in ATTACKS.items() if "refused" not in each]
DEEP: Final = "select " + "(" * 5000 + "1" + ")" * 5000
#: What each of these gives over the whole table tells of hidden rows; the others give the same, or nothing at all.
LEAKING: Final = 25


def written(attack: str, domain: str) -> str:
    sql: str = ATTACKS[attack]["sql"]
    return DEEP if sql == "DEEP" else sql.format(d=domain)


def policed(attack: str) -> str:
    return rewritten(reading(written(attack, "nyc")), OWN, {"nyc"}, 100)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.mark.parametrize("attack", REFUSED)
def test_an_attack_is_refused_as_it_is_said(attack: str) -> None:
    with pytest.raises(RefusedQueryError, match=ATTACKS[attack]["refused"]):
        policed(attack)


@pytest.mark.parametrize("attack", HARMLESS)
def test_an_attack_shows_what_somebody_may_see_and_no_more(engine: Engine, attack: str) -> None:
    assert engine.gives(policed(attack)) == engine.gives(written(attack, "seen")), policed(attack)


def test_the_control_without_the_policy_many_of_them_tell_of_what_is_hidden(engine: Engine) -> None:
    told = [each for each in HARMLESS if engine.gives(written(each, "nyc")) != engine.gives(written(each, "seen"))]
    assert len(told) >= LEAKING, told


def test_no_attack_has_the_name_of_another() -> None:
    assert len(ATTACKS) == TABLE.read_text().count("- {attack:")
