"""Which dataset files a command was given, and whether all of them can be read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace import contract
from headrace.cli.files import text_of
from headrace.contract import Contract
from headrace.errors import ContractError, HeadraceError, Problem

_ENDINGS: Final = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Document:
    """A dataset file: its text, and either the contract in it or what is wrong with it."""

    origin: str
    text: str
    contract: Contract | None
    problems: Sequence[Problem]

    @property
    def valid(self) -> Contract:
        """The contract of a document without problems."""
        if self.contract is None:
            raise ContractError(self.problems, self.origin)
        return self.contract


def read(paths: Iterable[Path]) -> list[Document]:
    """Every dataset file of these files and folders, with its problems. Errors: HeadraceError when there is none."""
    documents = [_document(path) for path in _files(paths)]
    _refuse_repeated(documents)
    return documents


def _files(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix in _ENDINGS and file.is_file())
            if not inside:
                raise HeadraceError(f"{path}: there is no dataset file (*.yaml, *.yml) in this folder.")
            found += inside
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _document(path: Path) -> Document:
    origin, text = text_of(path)
    try:
        return Document(origin, text, contract.load(text, origin), ())
    except ContractError as error:
        return Document(origin, text, None, error.problems)


def _refuse_repeated(documents: Iterable[Document]) -> None:
    seen: dict[str, str] = {}
    for document in documents:
        if document.contract is None:
            continue
        name = document.contract.dataset
        if name in seen:
            raise HeadraceError(f"{document.origin}: declares {name}, and so does {seen[name]}. Keep one of them.")
        seen[name] = document.origin
