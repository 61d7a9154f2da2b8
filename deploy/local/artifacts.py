"""How the programs that are not Python packages get here: from Maven, whole or not at all, once for all stacks."""

import fcntl
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.java import java

KAFKA_VERSION = "4.3.1"
REGISTRY_VERSION = "3.3.3"
KEYCLOAK_VERSION = "26.7.3"
#: Debezium's connectors, each with its version; Kafka Connect keeps the classes of one from those of another.
DEBEZIUM_VERSIONS = {"postgres": "3.6.1.Final", "mysql": "3.6.1.Final", "mariadb": "3.5.0.Final"}
POM = Path(__file__).with_name("pom.xml")

_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"


@dataclass(frozen=True)
class Artifact:
    """A program in the cache folder. `fetch` fills the empty folder it is given."""

    name: str
    fetch: Callable[[Path], None]

    def folder(self, cache: Path) -> Path:
        return cache / self.name

    def present(self, cache: Path) -> bool:
        return self.folder(cache).is_dir()


def ensure(artifact: Artifact, cache: Path) -> Path:
    """The artifact's folder, fetched now if need be. Safe to call at the same time from several processes.

    Errors: StackError when Maven is missing or cannot fetch.
    """
    if artifact.present(cache):
        return artifact.folder(cache)
    cache.mkdir(parents=True, exist_ok=True)
    with _one_maven(cache):
        if not artifact.present(cache):
            for leftover in cache.glob(f"{artifact.name}.partial-*"):
                shutil.rmtree(leftover)
            partial = Path(tempfile.mkdtemp(prefix=f"{artifact.name}.partial-", dir=cache))
            artifact.fetch(partial)
            partial.rename(artifact.folder(cache))
    return artifact.folder(cache)


def maven() -> str:
    """The Maven program. Errors: StackError."""
    program = shutil.which("mvn")
    if program is None:
        raise StackError("Maven is missing: install it (Debian: apt-get install maven) so that 'mvn' is on the PATH.")
    return program


def _fetch_kafka(folder: Path) -> None:
    goal = f"{_PLUGIN}:copy-dependencies"
    _run_maven(["-f", str(POM), goal, f"-DoutputDirectory={folder / 'libs'}"], f"Kafka {KAFKA_VERSION}")


def _fetch_registry(folder: Path) -> None:
    coordinates = f"io.apicurio:apicurio-registry-app:{REGISTRY_VERSION}:tar.gz:all"
    _fetch_archive(coordinates, folder, f"Apicurio Registry {REGISTRY_VERSION}")


def keycloak_folder(folder: Path) -> Path:
    """Where the program is within its artifact."""
    return folder / f"keycloak-{KEYCLOAK_VERSION}"


def _fetch_keycloak(folder: Path) -> None:
    """Fetches it, and lets it put itself together for a database in memory: that takes a minute, and would at every start."""
    what = f"Keycloak {KEYCLOAK_VERSION}"
    _fetch_archive(f"org.keycloak:keycloak-quarkus-dist:{KEYCLOAK_VERSION}:tar.gz", folder, what)
    build = [str(keycloak_folder(folder) / "bin" / "kc.sh"), "build", "--db=dev-mem", "--health-enabled=false"]
    environment = {**os.environ, "JAVA": str(java())}
    result = subprocess.run(build, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise StackError(f"{what} could not be put together: {(result.stderr or result.stdout).strip()[-500:]}")


def _debezium(database: str, version: str) -> Artifact:
    coordinates = f"io.debezium:debezium-connector-{database}:{version}:tar.gz:plugin"
    what = f"Debezium {version} for {database}"
    return Artifact(f"debezium-{database}-{version}", lambda folder: _fetch_archive(coordinates, folder, what))


def _fetch_archive(coordinates: str, folder: Path, what: str) -> None:
    _run_maven([f"{_PLUGIN}:copy", f"-Dartifact={coordinates}", f"-DoutputDirectory={folder}"], what)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    archive.unlink()


KAFKA = Artifact(f"kafka-{KAFKA_VERSION}", _fetch_kafka)
REGISTRY = Artifact(f"apicurio-registry-{REGISTRY_VERSION}", _fetch_registry)
KEYCLOAK = Artifact(f"keycloak-{KEYCLOAK_VERSION}", _fetch_keycloak)
DEBEZIUM = tuple(_debezium(database, version) for database, version in DEBEZIUM_VERSIONS.items())


def _run_maven(arguments: list[str], what: str) -> None:
    result = subprocess.run([maven(), "-q", "-B", *arguments], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        reason = next((line for line in result.stdout.splitlines() if "ERROR" in line), result.stderr.strip())
        raise StackError(f"Maven could not fetch {what}: {reason}. Check the network and Maven's settings, then retry.")


@contextmanager
def _one_maven(cache: Path) -> Iterator[None]:
    """One fetch at a time: two Mavens may spoil the repository they share."""
    with (cache / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
