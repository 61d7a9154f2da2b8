"""Which rows wait for their parents"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_HASHES = ("parked_hash", "released_hash")


def upgrade() -> None:
    with op.batch_alter_table("ledger_sums") as table:
        for name in _HASHES:
            table.add_column(sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("ledger_sums") as table:
        for name in _HASHES:
            table.drop_column(name)
