"""The parts of a gateway, as the API works with them."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from headrace.access.topic import KnownAccess
from headrace.stream.holdings import HoldingLog
from services.gateway.accounts import Accounts
from services.gateway.adapters.access_desk import AccessDesk
from services.gateway.adapters.assets import Assets
from services.gateway.adapters.audit_anchor import AuditAnchor
from services.gateway.adapters.audit_log import AuditLog
from services.gateway.adapters.audit_store import AuditStore
from services.gateway.adapters.back_test_desk import BackTestDesk
from services.gateway.adapters.branches import Branches
from services.gateway.adapters.control_fold import ControlFold
from services.gateway.adapters.dataset_log import DatasetLog
from services.gateway.adapters.dataset_store import DatasetStore
from services.gateway.adapters.export_schedules import ExportSchedules
from services.gateway.adapters.export_source import ExportSource
from services.gateway.adapters.export_storage import ExportStorage
from services.gateway.adapters.export_store import ExportStore
from services.gateway.adapters.generations_compared import GenerationDiffs
from services.gateway.adapters.health import Health
from services.gateway.adapters.holding_store import HoldingStore
from services.gateway.adapters.override_store import OverrideStore
from services.gateway.adapters.progress import Progress
from services.gateway.adapters.quarantine import Quarantine
from services.gateway.adapters.quarantine_desk import QuarantineDesk
from services.gateway.adapters.run_log import RunLog
from services.gateway.adapters.secret_keeper import SecretKeeper
from services.gateway.adapters.secret_store import SecretStore
from services.gateway.adapters.source_desk import SourceDesk
from services.gateway.adapters.tail import Tail
from services.gateway.adapters.transform_tests import TransformTests
from services.gateway.adapters.warehouse import Warehouse
from services.gateway.adapters.wish_store import WishStore
from services.gateway.catalog import Catalog
from services.gateway.export_worker import ExportWorker
from services.gateway.generations import Generations
from services.gateway.made_tests import TestMaker
from services.gateway.oidc_sign_in import OidcSignIn
from services.gateway.passports import Passports
from services.gateway.queries import Queries
from services.gateway.row_histories import RowHistories
from services.gateway.sign_in import SignIn


@dataclass(frozen=True, slots=True)
class Gateway:
    """What `bootstrap.build` wires. `keeper` is None when there is no master key, `oidc` when no provider is set."""

    engine: Engine
    datasets: DatasetStore
    dataset_log: DatasetLog
    secrets: SecretStore
    keeper: SecretKeeper | None
    runs: RunLog
    fold: ControlFold
    accounts: Accounts
    access: AccessDesk
    known_access: KnownAccess
    sign_in: SignIn
    public_url: str | None
    assets: Assets
    warehouse: Warehouse
    quarantine: Quarantine
    tail: Tail
    health: Health
    sources: SourceDesk
    wishes: WishStore
    holdings: HoldingStore
    holding_log: HoldingLog
    quarantine_desk: QuarantineDesk
    back_tests: BackTestDesk
    transform_tests: TransformTests
    passports: Passports
    test_maker: TestMaker
    row_histories: RowHistories
    generations: Generations
    diffs: GenerationDiffs
    overrides: OverrideStore
    progress: Progress
    branches: Branches
    oidc: OidcSignIn | None
    audit_log: AuditLog
    audit: AuditStore
    audit_anchor: AuditAnchor
    catalog: Catalog
    export_source: ExportSource
    exports: ExportStore
    export_schedules: ExportSchedules
    export_storages: Mapping[str, ExportStorage]
    export_worker: ExportWorker
    queries: Queries
