"""Which gateways a person works with, and how their tokens are found: a file that only its owner can read.

context = "production"

[contexts.production]
url = "https://data.example.com"
token_command = "pass show headrace/production"
"""

import os
import shlex
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import tomlkit
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, model_validator
from tomlkit.exceptions import TOMLKitError

from headrace.errors import HeadraceError

#: The context that is there without any file: the local stack, as its own folder tells of it.
LOCAL: Final = "local"
#: Names another file.
FILE_VARIABLE: Final = "HEADRACE_CONFIG"
_TOKEN_COMMAND_S: Final = 60.0
_TAKEN: Final = f"the context {LOCAL} is the local stack, which is found by itself. Choose another name."
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Context(BaseModel):
    """A gateway, and how the token for it is found: it stands in the file, in a variable, or a command prints it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    token: SecretStr | None = None
    token_env: str | None = None
    token_command: str | None = None

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if sum(each is not None for each in (self.token, self.token_env, self.token_command)) > 1:
            raise ValueError("give one of token, token_env and token_command")
        return self

    @property
    def token_from(self) -> str:
        """Where the token is from, in words that do not tell it."""
        if self.token_env is not None:
            return f"${self.token_env}"
        if self.token_command is not None:
            return f"command: {self.token_command}"
        return "file" if self.token is not None else "none"

    def found_token(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The token. Errors: HeadraceError when it is not where the context says."""
        if self.token_env is not None:
            if not (found := environment.get(self.token_env, "").strip()):
                raise HeadraceError(
                    f"The token for {self.url} should be in the variable {self.token_env}; it is not set."
                )
            return found
        if self.token_command is not None:
            return _printed(self.token_command)
        return self.token.get_secret_value() if self.token is not None else None


class ContextFile:
    """The contexts of a person. Errors: HeadraceError when the file is wrong, or a token in it is open to others."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
            read = self._document.unwrap()
            self.current: str = str(read.get("context", LOCAL))
            self.contexts = {
                name: Context.model_validate(context) for name, context in read.get("contexts", {}).items()
            }
        except OSError as error:
            raise HeadraceError(f"{path} cannot be read: {error.strerror}") from error
        except (TOMLKitError, UnicodeError, AttributeError) as error:
            raise HeadraceError(f"{path} is not valid TOML with a table for each context: {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise HeadraceError(
                f"{path} has a context that is wrong: {where} {first['msg']}"
            ) from None  # it may show a token
        if LOCAL in self.contexts:
            raise HeadraceError(f"{path}: {_TAKEN}")
        if any(each.token is not None for each in self.contexts.values()) and path.stat().st_mode & _OTHERS:
            raise HeadraceError(f"{path} holds a token and others can open it. Close it: chmod 600 {path}")

    @classmethod
    def of_user(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """The file of whoever runs this."""
        if given := environment.get(FILE_VARIABLE):
            return cls(Path(given))
        home = environment.get("XDG_CONFIG_HOME")
        return cls((Path(home) if home else Path.home() / ".config") / "headrace" / "config.toml")

    def get(self, name: str) -> Context | None:
        """The context of this name; None is the local stack. Errors: HeadraceError when there is none."""
        if name == LOCAL:
            return None
        if name in self.contexts:
            return self.contexts[name]
        raise HeadraceError(f"There is no context {name}. There are: {', '.join(self.names)}")

    @property
    def names(self) -> list[str]:
        """Every context, by name."""
        return sorted({LOCAL, *self.contexts})

    def put(self, name: str, context: Context) -> None:
        """Add a context, or put another in its place. Errors: HeadraceError when the name is taken by the local stack."""
        if name == LOCAL:
            raise HeadraceError(_TAKEN)
        shown = context.model_dump(exclude_none=True)
        if context.token is not None:
            shown["token"] = context.token.get_secret_value()
        self._document.setdefault("contexts", tomlkit.table(is_super_table=True))[name] = shown
        self.contexts[name] = context

    def use(self, name: str) -> None:
        """Make it the context of commands that name none."""
        self.get(name)
        self._document["context"] = name
        self.current = name

    def remove(self, name: str) -> None:
        """Take a context away. Commands that name none go to the local stack again, if it was theirs."""
        if name not in self.contexts:
            raise HeadraceError(f"There is no context {name} in {self.path}.")
        del self._document["contexts"][name]
        del self.contexts[name]
        if self.current == name:
            self.use(LOCAL)

    def save(self) -> None:
        """Write the file: whole or not at all, and for its owner only."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            written, name = tempfile.mkstemp(dir=self.path.parent, prefix=".config-")  # 0600
            with os.fdopen(written, "w", encoding="utf-8") as file:
                file.write(tomlkit.dumps(self._document))
            Path(name).replace(self.path)
        except OSError as error:
            raise HeadraceError(f"{self.path} cannot be written: {error.strerror}") from error


def target(name: str | None = None, environment: Mapping[str, str] = os.environ) -> tuple[str | None, str | None]:
    """URL and token for a program: of the environment, else of the context of this name or the one in use; None: not said.

    The token of a context goes to no gateway but its own.
    """
    token = environment.get("HEADRACE_TOKEN", "").strip() or None
    if name is None and (url := environment.get("HEADRACE_URL")):
        return url, token
    contexts = ContextFile.of_user(environment)
    context = contexts.get(name or environment.get("HEADRACE_CONTEXT") or contexts.current)
    if context is None:
        return None, token
    return context.url, context.found_token(environment) if name or token is None else token


def _printed(command: str) -> str:
    try:
        done = subprocess.run(
            shlex.split(command), stdout=subprocess.PIPE, check=True, text=True, timeout=_TOKEN_COMMAND_S
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise HeadraceError(f"The command that prints the token failed: {command}: {error}") from error
    if not (found := done.stdout.strip()):
        raise HeadraceError(f"The command that should print the token printed nothing: {command}")
    return found
