"""How a local Keycloak is set up: an OpenID provider to try sign-in with, started by itself. It keeps nothing."""

from pathlib import Path

from pydantic import SecretStr

from deploy.local import artifacts
from deploy.local.component import Component
from deploy.local.java import java, share_base_classes
from deploy.local.probe import answers
from deploy.local.settings import HOST

ADMIN = "admin"

_HEAP_MB = 512
_OPENED = ("java.util", "java.util.concurrent", "java.security", "java.lang")
_POOL = "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory"


def component(cache: Path, home: Path, port: int, password: SecretStr) -> Component:
    """A Keycloak in memory, with the realm `master` and its administrator; others are made over its API. Errors: StackError."""
    log = home / "keycloak.log"
    return Component(
        name="keycloak",
        command=_command(home, port),
        ports={"keycloak_port": port},
        ready=lambda: answers(f"http://{HOST}:{port}/realms/master/.well-known/openid-configuration"),
        log=log,
        console=log,
        environment={
            "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN,
            "KC_BOOTSTRAP_ADMIN_PASSWORD": password.get_secret_value(),
        },
        prepare=lambda: _prepare(cache, home),
    )


def _command(home: Path, port: int) -> tuple[str, ...]:
    return (
        *(str(java()), f"-Xmx{_HEAP_MB}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={home}"),
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
        *(f"-Dkc.home.dir={home}", f"-Djboss.server.config.dir={home / 'conf'}"),
        "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
        f"-Djava.util.concurrent.ForkJoinPool.common.threadFactory={_POOL}",
        *("-cp", str(home / "lib" / "quarkus-run.jar"), "io.quarkus.bootstrap.runner.QuarkusEntryPoint"),
        *("start", "--optimized", "--cache=local", "--http-enabled=true", "--hostname-strict=false"),
        *(f"--http-host={HOST}", f"--http-port={port}"),
    )


def _prepare(cache: Path, home: Path) -> None:
    """A folder to write in, with links to the program, which others share."""
    program = artifacts.keycloak_folder(artifacts.ensure(artifacts.KEYCLOAK, cache))
    share_base_classes()
    home.mkdir(parents=True, exist_ok=True)
    for name in ("lib", "providers", "themes", "conf", "version.txt"):
        (home / name).symlink_to(program / name)
