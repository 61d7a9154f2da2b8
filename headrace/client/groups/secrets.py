"""Calls about the credentials of sources. No answer holds a value."""

from pydantic import SecretStr

from headrace.client.call import Call, delete, get, post, put
from headrace.client.method import Group, WireT, call
from headrace.client.results import RotatedSecrets, Secret
from headrace.client.results import Secrets as Listed


class Secrets(Group[WireT]):
    """Credentials of sources."""

    @call
    def list(self) -> Call[Listed]:
        """Every secret, without its value."""
        return get("/secrets").one(Listed)

    @call
    def set(self, name: str, value: SecretStr) -> Call[Secret]:
        """Give a secret its first value, or its next. Sources that name it begin anew with it."""
        return put("/secrets/{name}", name=name).with_body(value=value).one(Secret)

    @call
    def remove(self, name: str, *, force: bool = False) -> Call[None]:
        """Take a secret away; refused (409) while a dataset names it, unless forced."""
        return delete("/secrets/{name}", name=name).asking(force=force).nothing()

    @call
    def rotate(self) -> Call[RotatedSecrets]:
        """Put every secret under the current master key. Doing it again changes nothing."""
        return post("/secrets/rotate").one(RotatedSecrets)
