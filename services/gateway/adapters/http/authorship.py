"""Decides who may write a dataset file: it says what is read, and so what those who see the dataset get to see."""

import re
from http import HTTPStatus
from typing import Final

from headrace.access.book import Caller
from headrace.access.policy import Action, Asset
from headrace.contract import Contract, dependencies
from services.gateway.adapters.assets import asset_of_file
from services.gateway.adapters.http.access import permit
from services.gateway.adapters.http.problems import ProblemError
from services.gateway.adapters.http.recording import note
from services.gateway.gateway import Gateway

#: Behind a domain in the name of a secret. Not "_", which domains have in them: shop_eu.password is not for editors of shop.
_MARK: Final = re.compile(r"[.-]")


def permit_file(gateway: Gateway, caller: Caller, contract: Contract) -> None:
    """Go on only if the caller may make this file live. Errors: ProblemError (403, 404).

    They see all of the dataset as it is and as it will be (SQL can give a hidden column another name), and all of the datasets it
    reads; and the secrets it names are those of its domain, unless they are an administrator.
    """
    note(datasets=[contract.dataset])
    live, proposed = gateway.assets.of(contract.dataset), asset_of_file(contract)
    for asset in (live, proposed):
        permit(caller, Action.EDIT, asset, whole=True)
    for parent in sorted(dependencies(contract)):
        permit(caller, Action.QUERY, gateway.assets.of(parent), whole=True)
    _permit_secrets(caller, contract)


def permit_source(gateway: Gateway, caller: Caller, contract: Contract, *, named: bool) -> None:
    """Go on only if the caller may have the source of this file looked at: for a dataset that they may edit, if one is `named`,
    and with all of the datasets it reads.

    Errors: ProblemError (403, 404).
    """
    if named:
        permit(caller, Action.EDIT, gateway.assets.of(contract.dataset), whole=True)
    for parent in sorted(contract.source.references):
        permit(caller, Action.QUERY, gateway.assets.of(parent), whole=True)
    _permit_secrets(caller, contract)


def _permit_secrets(caller: Caller, contract: Contract) -> None:
    """A source sends the secrets it names to where its file says."""
    for secret in sorted(contract.source_secrets | contract.transform_secrets):
        if not _edits_domain_of(caller, secret) and not caller.access.may_everywhere(Action.ADMIN):
            detail = (
                f"the secret {secret} is of no domain that {caller.name} may edit: only an administrator may name it; whoever "
                f"edits a domain may name those that begin with it, for example {contract.domain}.password"
            )
            raise ProblemError(HTTPStatus.FORBIDDEN, "foreign-secret", "This secret may not be named", detail)


def _edits_domain_of(caller: Caller, secret: str) -> bool:
    domains = (secret[: mark.start()] for mark in _MARK.finditer(secret))
    return any(caller.access.may(Action.EDIT, Asset(f"{domain}.")) for domain in domains)
