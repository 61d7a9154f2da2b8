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
_TESTS: Final = ".tests"


@dataclass(frozen=True, slots=True)
class Document:
    """A dataset file: its text, and either the contract in it or what is wrong with it.

    The tests in a file beside it belong to the contract; what is wrong with that file is a document of its own.
    """

    origin: str
    text: str
    contract: Contract | None
    problems: Sequence[Problem]
    tests_origin: str | None = None

    @property
    def valid(self) -> Contract:
        """The contract of a document without problems."""
        if self.contract is None:
            raise ContractError(self.problems, self.origin)
        return self.contract

    @property
    def whole(self) -> str:
        """What is sent to a gateway: the file, with the tests that are beside it."""
        return self.text if self.tests_origin is None else self.valid.canonical_json()


def read(paths: Iterable[Path]) -> list[Document]:
    """Every dataset file of these files and folders, with its problems. Errors: HeadraceError when there is none."""
    documents = [document for path in _files(paths) for document in _documents(path)]
    _refuse_repeated(documents)
    return documents


def _files(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted({_dataset_file(file) for file in path.rglob("*") if _may_be_one(file, path)})
            if not inside:
                raise HeadraceError(f"{path}: there is no dataset file (*.yaml, *.yml) in this folder.")
            found += inside
        else:
            found.append(_dataset_file(path))
    return list(dict.fromkeys(found))


def _may_be_one(file: Path, folder: Path) -> bool:
    """Whether a file in a folder is taken for a dataset file, or its tests: what is hidden is not, as `.venv`."""
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.suffix in _ENDINGS and not hidden and file.is_file()


def _dataset_file(path: Path) -> Path:
    """The dataset file that a file is, or whose tests it holds. Errors: HeadraceError when there is none beside it."""
    if not path.stem.endswith(_TESTS):
        return path
    stem = path.stem.removesuffix(_TESTS)
    beside = [path.with_name(stem + ending) for ending in _ENDINGS]
    found = next((file for file in beside if file.is_file()), None)
    if found is None:
        raise HeadraceError(f"{path}: holds tests of {beside[0].name}, which is not beside it.")
    return found


def _documents(path: Path) -> list[Document]:
    """A dataset file, and the file with its tests if something is wrong with that."""
    origin, text = text_of(path)
    try:
        alone = Document(origin, text, contract.load(text, origin), ())
    except ContractError as error:
        return [Document(origin, text, None, error.problems)]
    tests = [path.with_name(path.stem + _TESTS + ending) for ending in _ENDINGS]
    beside = next((file for file in tests if file.is_file()), None)
    if beside is None:
        return [alone]
    tests_origin, tests_text = text_of(beside)
    try:
        whole = contract.load_with_tests(text, origin, tests_text, tests_origin)
    except ContractError as error:
        return [alone, Document(tests_origin, tests_text, None, error.problems)]
    return [Document(origin, text, whole, (), tests_origin)]


def _refuse_repeated(documents: Iterable[Document]) -> None:
    seen: dict[str, str] = {}
    for document in documents:
        if document.contract is None:
            continue
        name = document.contract.dataset
        if name in seen:
            raise HeadraceError(f"{document.origin}: declares {name}, and so does {seen[name]}. Keep one of them.")
        seen[name] = document.origin
