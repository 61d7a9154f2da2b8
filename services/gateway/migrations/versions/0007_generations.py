"""The generations of a dataset that are not live, and since when the live one is"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("live_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("datasets", sa.Column("live_by", sa.Text(), nullable=False, server_default=""))
    op.add_column("datasets", sa.Column("live_because", sa.Text(), nullable=False, server_default=""))
    op.add_column("datasets", sa.Column("beside", sa.Text(), nullable=False, server_default="[]"))


def downgrade() -> None:
    for name in ("beside", "live_because", "live_by", "live_since"):
        op.drop_column("datasets", name)
