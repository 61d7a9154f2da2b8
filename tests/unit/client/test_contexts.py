"""The file of contexts: what is read, what is refused, and where a token goes."""

from pathlib import Path

import pytest

from headrace.client import Client
from headrace.client.contexts import LOCAL, Context, ContextFile, target
from headrace.errors import HeadraceError

PRODUCTION = "https://data.example.com"
FILE = f"""\
# mine
context = "production"

[contexts.production]
url = "{PRODUCTION}"
token_env = "PRODUCTION_TOKEN"

[contexts.staging]
url = "https://staging.example.com"
token = "s3cret"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "config.toml"
    path.parent.mkdir()
    path.write_text(FILE)
    path.chmod(0o600)
    return path


def environment(file: Path, **more: str) -> dict[str, str]:
    return {"HEADRACE_CONFIG": str(file), **more}


def test_without_a_file_there_is_the_local_stack(tmp_path: Path) -> None:
    contexts = ContextFile(tmp_path / "none.toml")
    assert (contexts.current, contexts.names, contexts.get(LOCAL)) == (LOCAL, [LOCAL], None)
    assert target(environment=environment(contexts.path)) == (None, None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (PRODUCTION, "p")),
        ({"HEADRACE_CONTEXT": "staging"}, ("https://staging.example.com", "s3cret")),
        ({"HEADRACE_CONTEXT": "local"}, (None, None)),
        ({"HEADRACE_TOKEN": "mine"}, (PRODUCTION, "mine")),
        ({"HEADRACE_URL": "http://other"}, ("http://other", None)),  # no token of a context goes there
        ({"HEADRACE_URL": "http://other", "HEADRACE_TOKEN": "mine"}, ("http://other", "mine")),
    ],
)
def test_what_the_environment_says_goes_first(
    file: Path, given: dict[str, str], expected: tuple[str | None, str | None]
) -> None:
    assert target(environment=environment(file, PRODUCTION_TOKEN="p", **given)) == expected


def test_a_program_that_names_a_context_gets_that(file: Path) -> None:
    given = environment(file, HEADRACE_URL="http://other", HEADRACE_TOKEN="mine")
    assert target("staging", given) == ("https://staging.example.com", "s3cret")


def test_a_client_is_made_of_a_context(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_CONFIG", str(file))
    with Client.from_context("staging") as client:
        assert client.url == "https://staging.example.com"
        assert client._wire.http.headers["Authorization"] == "Bearer s3cret"


def test_a_token_is_printed_by_a_command_or_stands_in_a_variable() -> None:
    assert Context(url="http://x", token_command="printf ' a b\\n'").found_token() == "a b"
    assert Context(url="http://x", token_env="T").found_token({"T": "t"}) == "t"
    for missing in (
        Context(url="http://x", token_env="T"),
        Context(url="http://x", token_command="false"),
        Context(url="http://x", token_command="true"),
        Context(url="http://x", token_command="no-such-program"),
    ):
        with pytest.raises(HeadraceError, match="token"):
            missing.found_token({})


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_a_token_that_others_can_read_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(HeadraceError, match="chmod 600"):
        ContextFile(file)


def test_without_a_token_in_it_the_file_may_be_open(file: Path) -> None:
    file.write_text(FILE.replace('token = "s3cret"', ""))
    file.chmod(0o644)
    assert ContextFile(file).names == ["local", "production", "staging"]


@pytest.mark.parametrize(
    "text",
    ["nonsense", "contexts = 3", "[contexts.a]\nurl = 1", "[contexts.a]\nurl = 'http://a'\ntoken = 'geheim'\ntoken_env = 'B'",
     "[contexts.a]\nurl = 'http://a'\ntokn = 'geheim'", "[contexts.local]\nurl = 'http://a'"],
)  # fmt: skip
def test_a_file_that_is_wrong_is_named_without_its_secrets(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(HeadraceError, match=r"config\.toml") as caught:
        ContextFile(path)
    assert "geheim" not in str(caught.value)


def test_a_change_leaves_the_rest_as_a_person_wrote_it_and_the_file_closed(file: Path) -> None:
    contexts = ContextFile(file)
    contexts.put("new", Context.model_validate({"url": "http://new", "token": "t0ken"}))
    contexts.use("new")
    contexts.save()
    assert file.read_text().startswith("# mine\n")
    assert [each.name for each in file.parent.iterdir()] == ["config.toml"]
    assert file.stat().st_mode & 0o777 == 0o600
    read = ContextFile(file)
    assert (read.current, sorted(read.contexts)) == ("new", ["new", "production", "staging"])
    assert read.contexts["new"].found_token() == "t0ken"
    read.remove("new")
    read.save()
    assert (ContextFile(file).current, "t0ken" in file.read_text()) == (LOCAL, False)


def test_a_new_file_has_a_folder_of_its_owner_only(tmp_path: Path) -> None:
    contexts = ContextFile(tmp_path / "config" / "headrace" / "config.toml")
    contexts.put("new", Context(url="http://new"))
    contexts.save()
    assert contexts.path.stat().st_mode & 0o777 == 0o600
    assert contexts.path.parent.stat().st_mode & 0o777 == 0o700


def test_the_local_stack_keeps_its_name(file: Path) -> None:
    contexts = ContextFile(file)
    with pytest.raises(HeadraceError, match="Choose another name"):
        contexts.put(LOCAL, Context(url="http://x"))
    with pytest.raises(HeadraceError, match=r"no context other\. There are: local, production, staging"):
        contexts.use("other")
    with pytest.raises(HeadraceError, match="no context local"):
        contexts.remove(LOCAL)
