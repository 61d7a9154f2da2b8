"""Runs ingest until it is told to stop."""

import logging
import sys
from collections.abc import Mapping

from headrace.access.topic import KnownAccess
from headrace.errors import Fatal
from headrace.stream.control import Controls
from headrace.stream.known_secrets import KnownSecrets
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset, run_service
from services.ingest.adapters.account_tokens import AccountTokens
from services.ingest.adapters.known_wishes import KnownWishes
from services.ingest.adapters.ownership import Ownership
from services.ingest.adapters.releases import Releases
from services.ingest.adapters.resubmission import Resubmissions
from services.ingest.adapters.server import HttpServer
from services.ingest.adapters.source_holdings import InUse
from services.ingest.adapters.source_requests import SourceRequests
from services.ingest.adapters.source_secrets import SourceSecrets
from services.ingest.adapters.upstreams import KnownDatasets
from services.ingest.bootstrap import Workers, connector_for, known_secrets
from services.ingest.connectors.http_push.desk import Desk
from services.ingest.connectors.http_push.http import create_app
from services.ingest.settings import IngestSettings


def main() -> int:
    """Returns the exit code."""
    settings = IngestSettings()
    wishes = KnownWishes(settings.connection(), Registry(settings.registry_url))
    desk = Desk(settings.push_queue_bytes, wishes.pause)
    ownership = Ownership(settings.connection(), settings.session_timeout_ms)
    known, access = KnownDatasets(), known_access(settings)
    try:
        secrets = known_secrets(settings)
        server = push_server(settings, desk, secrets, AccountTokens(access, settings.token_key, known.get))
        server.start()
    except Fatal as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    requests = SourceRequests(
        settings.connection(),
        Registry(settings.registry_url),
        lambda contract: connector_for(contract, settings, SourceSecrets(secrets, contract.dataset)),
    )
    resubmissions = Resubmissions(
        settings.connection(),
        Registry(settings.registry_url),
        instance=settings.instance,
        session_timeout_ms=settings.session_timeout_ms,
        transaction_timeout_ms=settings.transaction_timeout_ms,
    )
    in_use = InUse()
    releases = Releases(
        settings.connection(),
        Registry(settings.registry_url),
        ownership,
        wishes,
        in_use,
        lambda holding: connector_for(holding.contract, settings, SourceSecrets(secrets, holding.dataset)),
        secrets.notices,
    )
    ownership.start()
    requests.start()
    access.start()

    def learn(datasets: Mapping[str, LiveDataset]) -> None:
        known.learn(datasets)
        wishes.refresh()
        desk.learn(datasets)
        resubmissions.learn(datasets)
        secrets.refresh()
        releases.start()

    try:
        workers = Workers(settings, ownership, desk, secrets, wishes, in_use, known)
        return run_service(
            "ingest", settings, workers, learn, lambda dataset: secrets.given(dataset.contract.source_secrets)
        )
    finally:
        server.close()
        requests.close()
        resubmissions.close()
        releases.close()
        access.close()
        ownership.close()


def known_access(settings: IngestSettings) -> KnownAccess:
    """Who may send rows, as the topic of access tells."""
    return KnownAccess(settings.connection(), Controls(Registry(settings.registry_url)))


def push_server(settings: IngestSettings, desk: Desk, secrets: KnownSecrets, may_send: AccountTokens) -> HttpServer:
    """Where pushes come in, and metrics are shown."""
    app = create_app(
        desk,
        settings.push_token,
        max_body_bytes=settings.push_max_body_bytes,
        timeout_s=settings.push_timeout_s,
        secret=secrets.standing,
        may_send=may_send,
    )
    return HttpServer(app, settings.http_host, settings.http_port, settings.push_max_body_bytes)


if __name__ == "__main__":
    sys.exit(main())
