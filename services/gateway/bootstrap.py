"""Wires the gateway."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache

from argon2 import PasswordHasher
from fastapi import FastAPI
from sqlalchemy import Engine

from headrace.access.topic import AccessLog, KnownAccess
from headrace.stream.control import Controls
from headrace.stream.holdings import HoldingLog
from headrace.stream.notices import Notices
from headrace.stream.registry import Registry
from headrace.stream.secret_log import SecretLog
from services.gateway.accounts import Accounts
from services.gateway.adapters.access_desk import AccessDesk, kept_key
from services.gateway.adapters.assets import Assets
from services.gateway.adapters.audit_anchor import AuditAnchor
from services.gateway.adapters.audit_log import AuditLog
from services.gateway.adapters.audit_store import AuditStore
from services.gateway.adapters.back_test_desk import BackTestDesk
from services.gateway.adapters.branches import Branches
from services.gateway.adapters.control_fold import ControlFold
from services.gateway.adapters.database import open_database, upgrade
from services.gateway.adapters.dataset_log import DatasetLog
from services.gateway.adapters.dataset_store import DatasetStore
from services.gateway.adapters.export_owners import ExportOwners
from services.gateway.adapters.export_schedules import ExportSchedules
from services.gateway.adapters.export_source import ExportSource
from services.gateway.adapters.export_storage import ExportStorage, local
from services.gateway.adapters.export_store import ExportStore
from services.gateway.adapters.generation_reach import GenerationReach
from services.gateway.adapters.generation_sides import StoredSides
from services.gateway.adapters.generations_compared import GenerationDiffs
from services.gateway.adapters.health import Health
from services.gateway.adapters.holding_store import HoldingStore
from services.gateway.adapters.http import sign_in_oidc
from services.gateway.adapters.http.app import create_app
from services.gateway.adapters.incident_store import IncidentStore
from services.gateway.adapters.lake import Lake
from services.gateway.adapters.ledger_store import LedgerStore
from services.gateway.adapters.oidc import Provider, ProviderSettings
from services.gateway.adapters.oidc_attempts import OidcAttempts
from services.gateway.adapters.override_store import OverrideStore
from services.gateway.adapters.progress import Progress
from services.gateway.adapters.published_rows import PublishedRows
from services.gateway.adapters.quarantine import Quarantine
from services.gateway.adapters.quarantine_desk import QuarantineDesk
from services.gateway.adapters.run_log import RunLog
from services.gateway.adapters.secret_keeper import SecretKeeper
from services.gateway.adapters.secret_store import SecretStore
from services.gateway.adapters.source_desk import SourceDesk
from services.gateway.adapters.storage import Storage
from services.gateway.adapters.tail import Tail
from services.gateway.adapters.transform_tests import TransformTests
from services.gateway.adapters.usage_store import Usage
from services.gateway.adapters.warehouse import Warehouse
from services.gateway.adapters.wish_store import WishStore
from services.gateway.catalog import Catalog
from services.gateway.contributors import Contributors
from services.gateway.export_worker import ExportParts, ExportWorker, Limits
from services.gateway.gateway import Gateway
from services.gateway.generations import Generations
from services.gateway.made_tests import TestMaker
from services.gateway.oidc_sign_in import Admission, OidcSignIn
from services.gateway.passports import Passports
from services.gateway.queries import Queries
from services.gateway.row_histories import RowHistories
from services.gateway.settings import GatewaySettings
from services.gateway.sign_in import SignIn

_REGISTRY_S = 5


def build(settings: GatewaySettings) -> Gateway:
    """A gateway with an up-to-date database. Nothing else is asked for yet: it may all be down.

    Errors: Fatal when the master keys are set wrongly; those of SQLAlchemy.
    """
    keys = settings.key_wrapping()
    connection = settings.connection()
    registry = Registry(settings.registry_url, _REGISTRY_S)
    controls = Controls(registry)
    engine = open_database(settings.database_url)
    upgrade(engine)
    datasets = DatasetStore(engine)
    fold = ControlFold(connection, controls, engine)
    reader = (settings.warehouse_reader_user, settings.warehouse_reader_password.get_secret_value())
    warehouse = Warehouse(settings.warehouse_url, *reader, settings.query_timeout_s)
    quarantine, progress, lake = Quarantine(warehouse, datasets.get), Progress(connection), Lake(settings)
    published, ledger, incidents = PublishedRows(warehouse), LedgerStore(engine), IncidentStore(engine)
    reach = GenerationReach(connection, registry, progress)
    diffs = GenerationDiffs(warehouse, StoredSides(datasets, reach), ledger.filtered, settings.diff_timeout_s)
    overrides = OverrideStore(engine, connection, controls)
    generations = Generations(ledger, incidents, progress, fold, warehouse, lake)
    runs, wishes = RunLog(connection, controls), WishStore(engine, connection, controls)
    audit_log = AuditLog(engine, settings.instance)
    audit_anchor = AuditAnchor(connection, controls, audit_log)
    tests, access, key = TransformTests(), KnownAccess(connection, controls), _token_key(settings)
    desk = AccessDesk(engine, access, AccessLog(connection, controls), settings.gateway_admin_token, key)
    accounts = Accounts(datasets, ledger, incidents, progress, fold, runs, wishes, overrides, generations.shown)
    assets = Assets(datasets)
    exported = Warehouse(settings.warehouse_url, *reader, settings.export_timeout_s)
    exporting = _exporting(settings, engine, datasets, ExportSource(exported, lambda it: accounts.of([it])[0]), desk)
    passports = Passports(
        connection,
        registry,
        controls,
        datasets,
        progress,
        published,
        quarantine,
        lake,
        runs,
        overrides,
        Contributors(warehouse, datasets, runs),
    )
    return Gateway(
        engine,
        datasets,
        DatasetLog(connection, controls),
        SecretStore(engine),
        SecretKeeper(SecretLog(connection, controls, "gateway", settings.instance), keys) if keys else None,
        runs,
        fold,
        accounts,
        desk,
        access,
        SignIn(engine, key, desk, settings.sign_in_times, PasswordHasher()),
        settings.gateway_public_url,
        assets,
        warehouse,
        quarantine,
        Tail(connection, registry),
        Health(engine, connection, registry, warehouse, fold, audit_anchor),
        SourceDesk(connection, controls),
        wishes,
        HoldingStore(engine),
        HoldingLog(connection, controls),
        QuarantineDesk(connection, controls),
        BackTestDesk(connection, controls),
        tests,
        passports,
        TestMaker(passports, quarantine, published, datasets, tests),
        RowHistories(quarantine, published),
        generations,
        diffs,
        overrides,
        progress,
        Branches(connection, controls),
        oidc_sign_in(settings, engine, desk),
        audit_log=audit_log,
        audit=AuditStore(engine),
        audit_anchor=audit_anchor,
        catalog=Catalog.over(engine, datasets, Storage(progress, ledger, lake, warehouse)),
        export_source=exporting.source,
        exports=exporting.store,
        export_schedules=exporting.schedules,
        export_storages=exporting.storages,
        export_worker=ExportWorker(exporting),
        queries=Queries(warehouse, datasets, assets, exporting.source.completeness, settings.query_limits),
    )


def serve(gateway: Gateway) -> FastAPI:
    """The app over a gateway; the fold runs while it is served."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        gateway.fold.start()
        gateway.known_access.start()
        gateway.audit_anchor.start()
        gateway.export_worker.start()
        yield
        gateway.audit_anchor.stop()
        gateway.export_worker.stop()
        gateway.known_access.close()
        gateway.fold.stop()
        gateway.engine.dispose()

    app = create_app(lifespan)
    app.state.gateway = gateway
    return app


def oidc_sign_in(settings: GatewaySettings, engine: Engine, access: AccessDesk) -> OidcSignIn | None:
    """Sign-in at the OpenID provider of the settings; None when none is set."""
    if settings.oidc_issuer is None:
        return None
    provider = ProviderSettings(
        settings.oidc_issuer,
        settings.oidc_client_id,
        settings.oidc_client_secret,
        settings.oidc_scopes,
        settings.oidc_algorithms,
        f"{settings.gateway_public_url}{sign_in_oidc.CALLBACK}",
    )
    admission = Admission(settings.oidc_groups_claim, settings.group_roles, settings.oidc_who == "mapped")
    return OidcSignIn(Provider(provider, time.monotonic), OidcAttempts(engine), access, admission)


def _exporting(
    settings: GatewaySettings, engine: Engine, datasets: DatasetStore, source: ExportSource, desk: AccessDesk
) -> ExportParts:
    storages = {"download": ExportStorage(settings.export_location or local(settings.data_dir / "exports"))}
    if settings.export_bucket:
        storages["s3"] = ExportStorage(settings.export_bucket)
    notices = cache(
        lambda: Notices(
            settings.connection(), Registry(settings.registry_url, _REGISTRY_S), "gateway", settings.instance
        )
    )
    return ExportParts(
        ExportStore(engine),
        ExportSchedules(engine),
        source,
        datasets,
        ExportOwners(desk, Assets(datasets)),
        storages,
        Limits(settings.export_most_mb << 20, timedelta(hours=settings.export_kept_hours)),
        lambda *event: notices().event(*event),
        Usage(engine),
    )


def _token_key(settings: GatewaySettings) -> bytes:
    if settings.token_key is not None:
        return settings.token_key.get_secret_value().encode()
    return kept_key(settings.data_dir / "gateway.key")
