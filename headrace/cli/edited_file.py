"""A YAML file that is edited in place: what the edit does not touch stays as it is written, comments too."""

import io
import re
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.util import load_yaml_guess_indent

from headrace.cli.files import STANDARD, text_of
from headrace.cli.render import note, safe
from headrace.errors import HeadraceError

_SECTION: Final = re.compile(r"^\w+:[ \t]*(?:#.*)?\n( +)[^ -]", re.MULTILINE)  # how far a mapping is indented


class EditedFile:
    """The values of a file, to be changed and written back."""

    def __init__(self, path: Path, what: str) -> None:
        """`what` is to be written into it. Errors: HeadraceError when it cannot be read."""
        self.origin, text = text_of(path)
        if path == STANDARD:
            raise HeadraceError(f"{what} is written into the file, and - is none: name the file itself.")
        self.path = path
        self._newline = "\r\n" if b"\r\n" in path.read_bytes() else "\n"
        self._yaml = YAML()
        self._yaml.width = 4096
        self._yaml.preserve_quotes = True
        self._yaml.brace_single_entry_mapping_in_flow_sequence = True  # [{id: 1}] stays that
        self._yaml.explicit_start = text.startswith("---")
        try:
            self.values, sequence, offset = load_yaml_guess_indent(text, yaml=self._yaml)
        except Exception as error:
            raise HeadraceError(f"{self.origin}: not YAML: {error}") from error
        section = _SECTION.search(text)
        self._yaml.indent(mapping=len(section[1]) if section else 2, sequence=sequence, offset=offset)

    def is_of(self, dataset: str) -> None:
        """Errors: HeadraceError when it is not the dataset's file."""
        found = self.values.get("dataset") if isinstance(self.values, dict) else None
        if found != dataset or not isinstance(self.values.get("source"), dict):
            raise HeadraceError(f"{self.origin}: not the file of {dataset}: its `dataset` is {found!r}.")

    @property
    def text(self) -> str:
        """What would be written."""
        text = io.StringIO()
        self._yaml.dump(self.values, text)
        return text.getvalue()

    def write(self) -> None:
        """Write the values back. Errors: OSError."""
        self.path.write_text(self.text, encoding="utf-8", newline=self._newline)
        note(f"[green]✓[/] wrote {safe(self.path)}")
